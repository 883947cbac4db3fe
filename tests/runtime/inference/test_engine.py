import threading
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.engine import Engine, cpu_micro_batch, cpu_smallest_share
from torchstone_runtime.inference.session_io import OrtSession

COUNT = 48


@pytest.fixture(scope="module")
def engines(session: OrtSession) -> Iterator[dict[int, Engine]]:
    """An engine for one worker and one for three."""
    made = {workers: Engine(session, num_classes=10, workers=workers, micro_batch=64) for workers in (1, 3)}
    yield made
    for engine in made.values():
        engine.close()


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, COUNT), micro_batch=st.integers(1, COUNT + 2), workers=st.sampled_from([1, 3]))
def test_every_image_gets_its_own_row_wherever_micro_batches_end(
    engines: dict[int, Engine],
    images: Uint8Array,
    one_by_one: Float32Array,
    count: int,
    micro_batch: int,
    workers: int,
) -> None:
    """Any number of images in micro-batches of any size: row i is what image i gives alone; no row is left unset."""
    engine = engines[workers]
    engine.micro_batch = micro_batch
    logits, probabilities = engine.run(images[:count])
    assert logits.shape == probabilities.shape == (count, 10)
    assert logits.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(logits, one_by_one[:count], atol=1e-4)
    np.testing.assert_allclose(probabilities.sum(axis=1), np.ones(count), atol=1e-5)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_micro_batch_is_raised(engines: dict[int, Engine], images: Uint8Array, workers: int) -> None:
    """Images that the model cannot take are no silent gap in the outputs."""
    engine = engines[workers]
    engine.micro_batch = 5
    with pytest.raises(Exception, match=r"(?i)invalid dimensions"):
        engine.run(images[:, :, :20])
    engine.run(images)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_closed_engine_says_so(session: OrtSession, images: Uint8Array, workers: int) -> None:
    """Running it afterwards is an error with a message."""
    engine = Engine(session, num_classes=10, workers=workers, micro_batch=5)
    engine.close()
    with pytest.raises(UsageError, match="is closed"):
        engine.run(images)


class CountingSession:
    """A session that writes down how many images each call has."""

    def __init__(self, session: OrtSession) -> None:
        self.session = session
        self.calls: list[int] = []

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, Uint8Array], _run_options: object = None, /
    ) -> Sequence[Float32Array]:
        self.calls.append(len(inputs["images"]))
        found: Sequence[Float32Array] = self.session.run(outputs, inputs)
        return found


@pytest.mark.parametrize(
    ("count", "workers", "calls"),
    [(1, 2, [1]), (15, 2, [15]), (16, 2, [8, 8]), (48, 2, [24, 24]), (48, 3, [16, 16, 16]), (48, 1, [48])],
)
def test_a_middle_sized_batch_is_shared_evenly(
    session: OrtSession,
    images: Uint8Array,
    count: int,
    workers: int,
    calls: list[int],
) -> None:
    """From 8 images a worker on, all workers get the same; fewer are one call in the caller's thread."""
    counting = CountingSession(session)
    engine = Engine(counting, num_classes=10, workers=workers, micro_batch=64)
    engine.run(images[:count])
    engine.close()

    assert counting.calls == calls


class HeldSession:
    """A session whose calls in worker threads wait for `release`, and those of the thread `first` for a held worker."""

    def __init__(self, session: OrtSession) -> None:
        self.session = session
        self.worker_is_held = threading.Event()
        self.release = threading.Event()

    def run(
        self, outputs: Sequence[str], inputs: Mapping[str, Uint8Array], _run_options: object = None, /
    ) -> Sequence[Float32Array]:
        name = threading.current_thread().name
        if name.startswith("torchstone"):
            self.worker_is_held.set()
            assert self.release.wait(60)
        elif name == "first":
            assert self.worker_is_held.wait(60)
        found: Sequence[Float32Array] = self.session.run(outputs, inputs)
        return found


def test_a_caller_does_not_wait_for_busy_workers(
    session: OrtSession, images: Uint8Array, one_by_one: Float32Array
) -> None:
    """While the only worker is held by another caller's micro-batch, a call is done by its own thread."""
    held = HeldSession(session)
    engine = Engine(held, num_classes=10, workers=2, micro_batch=4)
    first = threading.Thread(target=engine.run, args=(images,), name="first")
    first.start()
    try:
        assert held.worker_is_held.wait(60)
        logits, _ = engine.run(images)
        assert first.is_alive()
    finally:
        held.release.set()
        first.join()
        engine.close()
    np.testing.assert_allclose(logits, one_by_one, atol=1e-4)


def test_micro_batches_do_not_change_a_single_bit(engines: dict[int, Engine], images: Uint8Array) -> None:
    """For this model: in micro-batches of 8 on three workers, of 5, or all at once, the outputs are the same bytes."""
    outputs = []
    for workers, micro_batch in ((1, 64), (1, 5), (3, 8)):
        engines[workers].micro_batch = micro_batch
        outputs.append(engines[workers].run(images)[0].tobytes())

    assert len(set(outputs)) == 1


@pytest.mark.parametrize(
    ("image_bytes", "micro_batch"),
    [(1, 64), (784, 64), (3 * 32 * 32, 21), (3 * 64 * 64, 5), (3 * 224 * 224, 2), (3 * 384 * 384, 1)],
)
def test_larger_pictures_come_in_smaller_micro_batches(image_bytes: int, micro_batch: int) -> None:
    """At most 64 images and 64 KiB of pixels a call, but always one image."""
    assert cpu_micro_batch(image_bytes) == micro_batch


class _Sizes:
    """Notes how many images each call has."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def run(
        self, _names: Sequence[str], feeds: Mapping[str, Uint8Array], _options: object = None
    ) -> list[Float32Array]:
        count = len(feeds["images"])
        self.counts.append(count)
        return [np.zeros((count, 2), np.float32)] * 2


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (2, [1, 1]), (3, [1, 2]), (5, [1, 2, 2]), (8, [2] * 4)])
def test_two_large_pictures_are_a_call_each_where_there_are_two_workers(count: int, sizes: list[int]) -> None:
    """A call of both would leave the other worker without work."""
    runner, image_bytes = _Sizes(), 3 * 224 * 224
    engine = Engine(
        runner,
        num_classes=2,
        workers=2,
        micro_batch=cpu_micro_batch(image_bytes),
        smallest_share=cpu_smallest_share(image_bytes),
    )
    engine.run(np.zeros((count, 3, 224, 224), np.uint8))
    engine.close()
    assert sorted(runner.counts) == sizes
