"""A served model: the bits of `Classifier.predict`, clear refusals, and counters that add up."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.held_up import Gate
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier, Unanswered
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.serving.core.answer import Answer
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.refusals import (
    BadPictureError,
    DeadlineError,
    QueueFullError,
    TooLargeError,
)
from torchstone_runtime.serving.core.served_model import Seen, ServedModel

MakeModel = Callable[..., ServedModel]
HoldUp = Callable[[ServedModel], Gate]


def run(work: Coroutine[Any, Any, Any]) -> None:
    """Run a test's clients, for 60 seconds at most."""
    asyncio.run(asyncio.wait_for(work, 60))


@given(sizes=st.lists(st.integers(1, 20) | st.integers(60, 140), min_size=1, max_size=12), files=st.booleans())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_answers_are_the_bits_of_predict_whatever_they_were_computed_with(
    make_model: MakeModel, digits: Split, sizes: list[int], files: bool
) -> None:
    """Requests of any sizes at once, as pixels or as picture files."""

    async def clients() -> None:
        model = make_model(max_queue=4096)
        assert model.merges
        starts = np.cumsum([0, *sizes])[:-1] % 100
        given = [digits.store.read(np.arange(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
        if files:
            work = [model.classify_files([encode_png(image) for image in images]) for images in given]
        else:
            work = [model.classify(images) for images in given]
        for images, answer in zip(given, await asyncio.gather(*work), strict=True):
            alone = model.classifier.predict(images)
            assert answer.logits.tobytes() == alone.logits.tobytes()
            assert answer.probabilities.tobytes() == alone.probabilities.tobytes()
            assert answer.decisions.tolist() == alone.indices.tolist()

    run(clients())


def test_a_model_whose_outputs_depend_on_the_batch_is_never_merged(
    digits_bundle: Path, monkeypatch: pytest.MonkeyPatch, images: Uint8Array, hold_up: HoldUp
) -> None:
    """As a library that sums in another order for another number of rows would do it."""
    classifier = Classifier.load(digits_bundle, provider="cpu", threads=2)
    exact = classifier.predict

    def other_bits(given: Uint8Array, *, unanswered: Unanswered = "raise") -> Predictions:
        found = exact(given, unanswered=unanswered)
        return replace(found, logits=np.nextafter(found.logits, np.inf)) if len(given) >= 7 else found

    monkeypatch.setattr(classifier, "predict", other_bits)
    model = ServedModel("digits", "1", classifier, ServingLimits(workers=1))
    model.try_merging()
    assert not model.merges

    async def clients() -> None:
        gate = hold_up(model)
        work = [asyncio.ensure_future(model.classify(images[:4])) for _ in range(5)]
        await gate.wait_for_a_call()
        gate.opened.set()
        assert [answer.timings.batch_images for answer in await asyncio.gather(*work)] == [4] * 5

    run(clients())


def test_what_waits_is_computed_together(make_model: MakeModel, images: Uint8Array, hold_up: HoldUp) -> None:
    """The sizes are in the timings and in the statistics."""

    async def clients() -> None:
        model = make_model(workers=1)
        gate = hold_up(model)
        first = asyncio.ensure_future(model.classify(images[:2]))
        await gate.wait_for_a_call()
        others = [asyncio.ensure_future(model.classify(images[:3])) for _ in range(4)]
        await asyncio.sleep(0)
        assert model.pending_images == 12
        gate.opened.set()
        assert (await first).timings.batch_images == 2
        assert [answer.timings.batch_images for answer in await asyncio.gather(*others)] == [12] * 4
        assert gate.calls == [2, 12]
        found = model.statistics
        assert (found.images, found.batches, found.success.count, found.failure.count) == (14, 2, 5, 0)
        assert {size: duration.count for size, duration in found.batch_sizes.items()} == {2: 1, 12: 1}
        assert sum(found.predictions) == 14
        assert found.confidence.count == 14
        assert not model.busy

    run(clients())


def test_a_full_queue_refuses_at_once(make_model: MakeModel, images: Uint8Array, hold_up: HoldUp) -> None:
    """Images count, not requests; what was accepted is answered."""

    async def clients() -> None:
        model = make_model(workers=1, max_queue=10)
        gate = hold_up(model)
        taken = asyncio.ensure_future(model.classify(images[:9]))
        await gate.wait_for_a_call()
        waiting = [asyncio.ensure_future(model.classify(images[:5])) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await model.classify(images[:1])
        with pytest.raises(QueueFullError):
            await model.classify_files([encode_png(images[0])])
        with pytest.raises(TooLargeError, match="holds 11 images; this server takes at most 10"):
            await model.classify(images[:11])
        gate.opened.set()
        answers = await asyncio.gather(taken, *waiting)
        assert [len(answer.logits) for answer in answers] == [9, 5, 5]
        assert model.statistics.rejected["queue_full"] == 2
        assert model.statistics.rejected["too_large"] == 1

    run(clients())


def test_a_deadline_is_kept_at_once_and_the_work_skipped(
    make_model: MakeModel, images: Uint8Array, hold_up: HoldUp
) -> None:
    """Even while the workers are busy with something else."""

    async def clients() -> None:
        model = make_model(workers=1)
        gate = hold_up(model)
        first = asyncio.ensure_future(model.classify(images[:2]))
        await gate.wait_for_a_call()
        with pytest.raises(DeadlineError):
            await model.classify(images[:3], deadline=asyncio.get_running_loop().time() + 0.02)
        with pytest.raises(DeadlineError):
            await model.classify_files([encode_png(images[0])], deadline=asyncio.get_running_loop().time() + 0.02)
        assert model.pending_images == 0
        gate.opened.set()
        await first
        assert len((await model.classify(images[:4], deadline=asyncio.get_running_loop().time() + 30)).logits) == 4
        assert gate.calls == [2, 4]
        assert model.statistics.rejected["deadline"] == 2

    run(clients())


def test_an_answer_that_is_ready_after_its_deadline_is_none(
    make_model: MakeModel, images: Uint8Array, hold_up: HoldUp
) -> None:
    """A batch under way can't be stopped; its late part is thrown away."""

    async def clients() -> None:
        model = make_model(workers=1)
        gate = hold_up(model)
        late = asyncio.ensure_future(model.classify(images[:2], deadline=asyncio.get_running_loop().time() + 0.05))
        await gate.wait_for_a_call()
        with pytest.raises(DeadlineError):
            await late
        gate.opened.set()
        assert model.statistics.success.count == 0

    run(clients())


def test_the_work_of_clients_that_left_is_skipped(make_model: MakeModel, images: Uint8Array, hold_up: HoldUp) -> None:
    """Their images wait no more, and they count as disconnected."""

    async def clients() -> None:
        model = make_model(workers=1)
        gate = hold_up(model)
        first = asyncio.ensure_future(model.classify(images[:2]))
        await gate.wait_for_a_call()
        gone = [asyncio.ensure_future(model.classify(images[:3])) for _ in range(4)]
        stays = asyncio.ensure_future(model.classify(images[:5]))
        await asyncio.sleep(0)
        for one in gone:
            one.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        assert model.pending_images == 5
        gate.opened.set()
        await asyncio.gather(first, stays)
        assert gate.calls == [2, 5]
        assert model.statistics.rejected["disconnected"] == 4

    run(clients())


def test_what_is_no_request_is_refused(make_model: MakeModel, images: Uint8Array) -> None:
    """And counted; a bad picture is named by its place."""

    async def clients() -> None:
        model = make_model()
        floats: Any = images.astype(np.float32)
        for wrong in (images[:0], images[:, :, 1:], floats):
            with pytest.raises(UsageError):
                await model.classify(wrong)
        with pytest.raises(UsageError):
            await model.classify_files([])
        with pytest.raises(BadPictureError) as caught:
            await model.classify_files([encode_png(images[0]), b""])
        assert caught.value.index == 1
        assert model.pending_images == 0
        assert model.statistics.rejected["bad_picture"] == 1
        assert model.statistics.rejected["failed"] == 4
        assert model.statistics.failure.count == 5

    run(clients())


def test_a_model_that_fails_tells_its_clients_and_goes_on(
    make_model: MakeModel, images: Uint8Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing batch costs no worker."""

    async def clients() -> None:
        model = make_model(workers=1)

        def fail(_: Uint8Array, *, unanswered: Unanswered) -> None:
            del unanswered
            raise BundleError("no memory")

        with monkeypatch.context() as broken:
            broken.setattr(model.classifier, "predict", fail)
            for _ in range(3):
                with pytest.raises(BundleError, match="no memory"):
                    await model.classify(images[:2])
        assert len((await model.classify(images[:2])).logits) == 2

    run(clients())


def test_observers_see_every_answer_and_can_hurt_nobody(make_model: MakeModel, images: Uint8Array) -> None:
    """What they raise is counted."""
    seen: list[Seen] = []

    def break_down(_model: ServedModel, _seen: Seen) -> None:
        raise RuntimeError("observer")

    async def clients() -> list[Answer]:
        model = make_model(break_down, lambda _, one: seen.append(one))
        answers = [await model.classify(images[:2]), await model.classify_files([encode_png(images[3])])]
        assert model.statistics.observer_failures == 2
        return answers

    first, second = asyncio.run(clients())
    assert [one.answer for one in seen] == [first, second]
    assert np.array_equal(seen[0].images, images[:2])
    assert seen[0].files is None
    assert np.array_equal(seen[1].images, images[3:4])
    assert seen[1].files == (encode_png(images[3]),)


def test_a_model_that_nobody_holds_ends_by_itself(make_model: MakeModel, images: Uint8Array) -> None:
    """At once, without the garbage collector: its session's memory and its threads are given back."""

    async def clients() -> None:
        before = set(threading.enumerate())
        model = make_model()
        await asyncio.gather(*(model.classify(images[:1]) for _ in range(20)))
        await model.classify_files([encode_png(images[0])])
        with pytest.raises(BadPictureError):
            await model.classify_files([b"?"])
        threads = set(threading.enumerate()) - before
        assert {thread.name.rpartition("_")[0] for thread in threads} >= {"torchstone-serve", "torchstone-decode"}
        gone, closed = weakref.ref(model), weakref.ref(model.classifier)
        del model
        await asyncio.sleep(0)
        assert gone() is None
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
        # Not before: a thread that has just answered may still hold what it was given.
        assert closed() is None

    gc.disable()
    try:
        run(clients())
    finally:
        gc.enable()


def test_a_model_that_nobody_holds_is_let_go_without_waiting_for_a_thread(make_model: MakeModel) -> None:
    """A garbage collection may do it in a thread that is being started, and would wait for itself."""
    began, end = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        end.wait(20)

    model = make_model()
    (helper,) = model.classifier._engine._pool.submit(work, 1)
    assert began.wait(10)
    gone = weakref.ref(model)
    del model
    gc.collect()
    ended = helper.done()
    end.set()
    assert gone() is None
    assert not ended
