"""How many images may wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.serving.core.admission import Admission, Place
from torchstone_runtime.serving.core.refusals import QueueFullError, TooLargeError


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=60), most=st.integers(1, 20))
def test_no_more_images_wait_than_may(steps: list[tuple[bool, int]], most: int) -> None:
    """Whoever enters, leaves once or twice; a refusal changes nothing."""
    admission, inside = Admission(most), list[tuple[Place, int]]()
    for enters, images in steps:
        if enters:
            room = most - sum(size for _, size in inside)
            try:
                inside.append((admission.enter(images), images))
            except TooLargeError:
                assert images > most
            except QueueFullError:
                assert room < images <= most
        elif inside:
            place, _ = inside.pop(images % len(inside))
            place.leave()
            place.leave()
        assert admission.waiting == sum(size for _, size in inside) <= most


def test_a_full_queue_says_when_it_will_be_worked_off() -> None:
    """By the time that images took lately."""
    admission = Admission(10)
    admission.note(0.5)
    admission.enter(8)
    with pytest.raises(QueueFullError, match=r"8 images wait already, of at most 10") as caught:
        admission.enter(3)
    assert caught.value.retry_after == pytest.approx(4.0)


def test_the_time_of_an_image_follows_the_batches() -> None:
    """One slow batch among many doesn't decide it."""
    admission = Admission(10)
    for _ in range(100):
        admission.note(0.001)
    admission.note(1.0)
    assert 0.05 < admission.image_seconds < 0.2
