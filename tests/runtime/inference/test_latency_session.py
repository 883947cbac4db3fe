"""The second session of several threads: when it is made, when it is used, and that it answers alike."""

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import BundleError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.engine import Engine
from torchstone_runtime.inference.latency_session import LatencySession
from torchstone_runtime.inference.load_options import Mode
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS

PICTURE = {INPUT: np.zeros((1, 1, 2, 2), np.uint8)}
MANY_CALLS = 12


class _Session:
    """Takes so many seconds a call, and counts."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    def run(self, _names: Sequence[str], feeds: Mapping[str, Uint8Array], _options: object = None, /) -> Sequence[Any]:
        self.calls += 1
        time.sleep(self.seconds)
        return [np.full((len(feeds[INPUT]), 2), self.seconds, np.float32)] * 2


def _run_often(made: LatencySession, times: int = MANY_CALLS) -> None:
    for _ in range(times):
        made.run(OUTPUTS, PICTURE)


@pytest.mark.parametrize(("second", "taken"), [(0.002, "second"), (0.03, "first")])
def test_the_faster_session_of_the_two_serves(second: float, taken: str) -> None:
    """After the trial, no call goes to the slower one."""
    sessions = {"first": _Session(0.01), "second": _Session(second)}
    made = LatencySession(sessions["first"], lambda _threads: sessions["second"], 4, "auto")
    _run_often(made)
    before = {name: session.calls for name, session in sessions.items()}
    _run_often(made, 3)
    served = [name for name, session in sessions.items() if session.calls > before[name]]
    assert served == [taken]


def test_few_calls_make_no_second_session() -> None:
    """A process that classifies one picture and ends doesn't pay for it."""
    opened: list[int] = []
    made = LatencySession(_Session(0.01), lambda threads: opened.append(threads) or _Session(0), 4, "auto")  # type: ignore[func-returns-value]
    _run_often(made, 2)
    assert opened == []


def test_short_calls_make_no_second_session() -> None:
    """What takes microseconds is not worth waking another thread."""
    opened: list[int] = []
    made = LatencySession(_Session(0), lambda threads: opened.append(threads) or _Session(0), 4, "auto")  # type: ignore[func-returns-value]
    _run_often(made)
    assert opened == []
    assert "too short to share" in made.note


def test_a_second_session_that_cannot_be_had_leaves_the_first() -> None:
    """Its reason is said in the plan; no call fails."""

    def refuse(_threads: int) -> _Session:
        raise BundleError("the file is gone")

    first = _Session(0.005)
    made = LatencySession(first, refuse, 4, "auto")
    _run_often(made)
    assert first.calls == MANY_CALLS
    assert "the file is gone" in made.note


def test_latency_by_name_makes_it_at_once() -> None:
    """The very first call is served by it."""
    first, second = _Session(0.01), _Session(0.01)
    LatencySession(first, lambda _threads: second, 4, "latency").run(OUTPUTS, PICTURE)
    assert (first.calls, second.calls) == (0, 1)


def test_several_callers_keep_to_one_thread_each() -> None:
    """They would compete for the same processors."""
    first, second = _Session(0.05), _Session(0.05)
    made = LatencySession(first, lambda _threads: second, 4, "latency")
    callers = [threading.Thread(target=_run_often, args=(made, 4)) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert second.calls <= 1
    assert first.calls >= MANY_CALLS - 1


@pytest.mark.parametrize(("mode", "images", "expected"), [("latency", 2, 1), ("latency", 3, 0), ("throughput", 1, 0)])
def test_only_batches_that_leave_workers_idle_go_to_it(mode: Mode, images: int, expected: int) -> None:
    """Of four workers: two images are too few to be shared out, three are not."""
    first, second = _Session(0), _Session(0)
    latency = None if mode == "throughput" else LatencySession(first, lambda _threads: second, 4, mode)
    engine = Engine(first, num_classes=2, workers=4, micro_batch=1, latency=latency)
    engine.run(np.zeros((images, 1, 2, 2), np.uint8))
    engine.close()
    assert second.calls == expected


def test_both_sessions_answer_alike(digits_bundle: Path, images: Uint8Array) -> None:
    """The same picture gets nearly the same logits on many threads, and the plan says on how many."""
    with (
        Classifier.load(digits_bundle, provider="cpu", threads=4, mode="latency") as many,
        Classifier.load(digits_bundle, provider="cpu", threads=1) as one,
    ):
        for picture in images[:8]:
            np.testing.assert_allclose(many.predict(picture).logits, one.predict(picture).logits, atol=1e-4)
        assert "4 threads (asked for by name)" in str(many.plan)


class _Counted:
    """Takes so many seconds a call by a clock of its own."""

    now = 0.0

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(self, _names: Sequence[str], _feeds: Mapping[str, Uint8Array], _options: object = None, /) -> Sequence[Any]:
        _Counted.now += self.seconds
        return []


def test_a_trial_that_chose_one_thread_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may have deceived it; where nothing changes, all trials take little of the time of the calls."""
    clock = SimpleNamespace(perf_counter=lambda: _Counted.now)
    monkeypatch.setattr("torchstone_runtime.inference.latency_session.time", clock)
    first, second, opened = _Counted(0.01), _Counted(0.03), list[int]()
    made = LatencySession(first, lambda threads: opened.append(threads) or second, 4, "auto")  # type: ignore[func-returns-value]
    started, calls = _Counted.now, 5000
    _run_often(made, calls)
    in_trials = _Counted.now - started - calls * first.seconds
    assert 2 <= len(opened) <= 5
    assert in_trials < 0.05 * calls * first.seconds
    assert f"in trial {len(opened)}" in made.note
    second.seconds = 0.002
    _run_often(made, 4 * calls)
    assert "5.0 times as fast as 1" in made.note
