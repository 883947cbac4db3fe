"""Callers that wait and are answered by one batch: when that is done, and that each gets what is its own."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.call_turns import CallTurns
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.latency_session import LatencySession
from torchstone_runtime.inference.merged_calls import MergedCalls
from torchstone_runtime.inference.merging_trial import MergingTrial
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS

PATIENCE = 30
CALLERS = 5
ENOUGH_CALLS = 200


class _Session:
    """Gives each image its brightest pixel; a batch takes so long, and each of its images.

    `held` is waited for by the first batch; `fails` is raised by a batch of several.
    """

    def __init__(self, batch: float = 0.0, image: float = 0.0, fails: BaseException | None = None) -> None:
        self.batch, self.image, self.fails = batch, image, fails
        self.held = threading.Event()
        self.sizes: list[int] = []
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def run(self, _names: Sequence[str], feeds: Mapping[str, Uint8Array], _options: object = None, /) -> Sequence[Any]:
        images = feeds[INPUT]
        self.sizes.append(len(images))
        self.held.wait(PATIENCE)
        if self.fails is not None and len(images) > 1:
            raise self.fails
        self.now += self.batch + self.image * len(images)
        return [images.max(axis=(1, 2, 3)).astype(np.float32)[:, np.newaxis]] * 2


class _ByBatch(_Session):
    """Gives other outputs in batches of one size."""

    def run(self, names: Sequence[str], feeds: Mapping[str, Uint8Array], options: object = None, /) -> Sequence[Any]:
        answer = super().run(names, feeds, options)
        return [output + np.float32(len(output) == 7) for output in answer]


def _picture(brightness: int) -> Uint8Array:
    return np.full((1, 1, 2, 2), brightness, np.uint8)


def _tried(session: _Session) -> MergingTrial:
    """Return the trial of a session after a crowd of calls."""
    session.held.set()
    trial = MergingTrial(session, session.clock)
    for _ in range(ENOUGH_CALLS):
        trial.go_on(_picture(9))
    session.held.clear()
    session.sizes.clear()
    return trial


def _call_while_one_is_computed(merged: MergedCalls, session: _Session, turns: CallTurns) -> list[int]:
    """Let callers wait behind one; return what each is told of the brightness of its picture."""
    told = [0] * CALLERS

    def call(place: int) -> None:
        try:
            told[place] = int(merged.run(session, _picture(place + 1))[0][0, 0])
        except KeyboardInterrupt:
            told[place] = -1

    callers = [threading.Thread(target=call, args=(place,)) for place in range(CALLERS)]
    for place, caller in enumerate(callers):
        caller.start()
        while len(turns._waiting) < place or not session.sizes:
            time.sleep(0.001)
    session.held.set()
    for caller in callers:
        caller.join(PATIENCE)
    return told


def _merged(session: _Session, when_merged: Callable[[], None] = lambda: None) -> tuple[MergedCalls, CallTurns]:
    turns = CallTurns(1)
    return MergedCalls(session, turns, _tried(session), when_merged), turns


def test_those_who_wait_are_answered_by_one_batch() -> None:
    """Each gets the answer to its own picture; the second session is told of the crowd."""
    session, crowds = _Session(batch=0.001), list[str]()
    merged, turns = _merged(session, lambda: crowds.append("crowd"))
    assert _call_while_one_is_computed(merged, session, turns) == [1, 2, 3, 4, 5]
    assert session.sizes == [1, CALLERS - 1]
    assert crowds == ["crowd"]


def test_other_bits_in_one_size_keep_callers_apart() -> None:
    """Also where that size is none of those timed."""
    session = _ByBatch(batch=0.001)
    merged, turns = _merged(session)
    _call_while_one_is_computed(merged, session, turns)
    assert session.sizes == [1] * CALLERS
    assert "other bits" in merged.note


@pytest.mark.parametrize(
    ("batch", "image", "said"), [(0.0, 0.001, "1.00 times as fast"), (0.001, 0.05, "51 ms each"), (0.001, 0, "8.00")]
)
def test_only_where_a_batch_takes_less_time(batch: float, image: float, said: str) -> None:
    """Of the processor, for each image; a call of many milliseconds is not even tried."""
    assert said in _tried(_Session(batch, image)).note


def test_a_few_calls_are_not_burdened_with_a_trial() -> None:
    """A short process ends before it would pay."""
    session = _Session(batch=0.001)
    session.held.set()
    trial = MergingTrial(session, session.clock)
    for _ in range(20):
        trial.go_on(_picture(9))
    assert session.sizes == []


def test_each_step_of_the_trial_is_one_batch() -> None:
    """No caller waits longer than that for it."""
    session = _Session(batch=0.001)
    session.held.set()
    trial = MergingTrial(session, session.clock)
    for _ in range(ENOUGH_CALLS):
        before = len(session.sizes)
        trial.go_on(_picture(9))
        assert len(session.sizes) <= before + 1
    assert max(session.sizes) == trial.most


def test_callers_of_a_batch_that_fails_are_answered_one_by_one() -> None:
    """And nothing is put together again."""
    session = _Session(batch=0.001)
    merged, turns = _merged(session)
    session.fails = MemoryError()
    assert _call_while_one_is_computed(merged, session, turns) == [1, 2, 3, 4, 5]
    assert session.sizes == [1, CALLERS - 1, *[1] * (CALLERS - 1)]
    assert "failed" in merged.note


def test_an_interrupted_caller_leaves_nobody_waiting() -> None:
    """Whoever computes for others may be stopped by Ctrl-C."""
    session = _Session(batch=0.001)
    merged, turns = _merged(session)
    session.fails = KeyboardInterrupt()
    assert _call_while_one_is_computed(merged, session, turns) == [1, -1, 3, 4, 5]


def test_after_a_batch_of_several_the_second_session_waits() -> None:
    """Those callers would compete with it for the same processors."""
    first, second = _Session(), _Session()
    first.held.set()
    latency = LatencySession(first, lambda _threads: second, 4, "latency")
    latency.keep_to_one()
    latency.run(OUTPUTS, {INPUT: _picture(1)})
    assert (first.sizes, second.sizes) == ([1], [])


def test_callers_of_a_real_model_get_the_bits_of_a_call_alone(digits_bundle: Path, images: Uint8Array) -> None:
    """Whether the trial puts them together or not."""
    with Classifier.load(digits_bundle, provider="cpu", threads=1) as classifier:
        alone = [classifier.predict(picture) for picture in images[:8]]
        wrong: list[int] = []

        def call(place: int) -> None:
            for _ in range(ENOUGH_CALLS):
                found = classifier.predict(images[place])
                if found.logits.tobytes() != alone[place].logits.tobytes():
                    wrong.append(place)

        callers = [threading.Thread(target=call, args=(place,)) for place in range(8)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(PATIENCE)
        assert "callers" in classifier.plan.waiting_calls
        assert classifier.plan.waiting_calls in str(classifier.plan)
    assert wrong == []
