"""Pictures decoded beside the model: in order, no further ahead than said, errors in their place."""

import threading
from collections.abc import Iterator

import pytest

from torchstone_runtime.inference.decoding import decoded_batches


class Counted:
    """Numbers from 0 on, which remember how many of them were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for number in range(self.count):
            self.taken += 1
            yield number


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_everything_comes_in_order(count: int, ahead: bool) -> None:
    """In batches of the size; only the last may be smaller."""
    batches = list(decoded_batches(range(count), lambda number: -number, 8, ahead=ahead))
    assert [(source, future.result()) for batch in batches for source, future in batch] == [
        (number, -number) for number in range(count)
    ]
    assert all(len(batch) == 8 for batch in batches[:-1])


@pytest.mark.parametrize(("ahead", "taken"), [(True, [16, 24, 30, 30]), (False, [8, 16, 24, 30])])
def test_no_more_than_two_batches_are_held(ahead: bool, taken: list[int]) -> None:
    """Without looking ahead, one."""
    sources = Counted(30)
    assert [sources.taken for _ in decoded_batches(sources, lambda number: number, 8, ahead=ahead)] == taken


def test_the_next_batch_is_decoded_while_the_caller_has_this_one() -> None:
    """The caller waits, in bounded time, for a picture that it wasn't given yet."""
    decoded = threading.Event()
    batches = decoded_batches(range(4), lambda number: decoded.set() if number == 3 else None, 2, ahead=True)
    next(batches)
    assert decoded.wait(timeout=30)


def test_an_error_stays_in_its_place() -> None:
    """The others of its batch, and the batch before, are what they are."""
    batches = list(decoded_batches([1, 0, 2], lambda number: 10 // number, 2, ahead=True))
    assert batches[0][0][1].result() == 10
    assert isinstance(batches[0][1][1].exception(), ZeroDivisionError)
    assert batches[1][0][1].result() == 5


@pytest.mark.parametrize("ahead", [True, False])
@pytest.mark.parametrize("count", [0, 3, 4, 6])
def test_what_comes_before_an_error_of_the_source_is_handed_out(count: int, ahead: bool) -> None:
    """The error follows, once."""

    def failing() -> Iterator[int]:
        yield from range(count)
        raise OSError("no more")

    found: list[int] = []
    batches = decoded_batches(failing(), lambda number: number, 4, ahead=ahead)
    with pytest.raises(OSError, match="no more"):
        found.extend(future.result() for batch in batches for _, future in batch)
    assert found == [*range(count)]


def test_what_nobody_waits_for_is_not_decoded() -> None:
    """A caller that stops early leaves no work behind."""
    batches = decoded_batches(range(10_000), lambda number: number, 5_000, ahead=True)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("torchstone-decode")]
