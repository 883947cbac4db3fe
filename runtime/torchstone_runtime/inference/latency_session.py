"""A second session of several threads, for calls with too few images to be shared out.

One picture through a large network is a call that no other thread helps with, while the remaining processors wait. A
session with threads of its own computes it on all of them; where it does not pay, or several callers are at work, the
session of one thread is the better one.
"""

import ctypes
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.inference.load_options import Mode
from torchstone_runtime.inference.session_io import ModelRunner, RunOptions

_WORTH_TRYING: Final = 3e-4
"""Seconds of a call below which waking other threads costs what they save (about 0.1 ms a call)."""
_CALLS_BEFORE: Final = 3
"""Calls before the trial: a process that classifies one picture and ends must not pay for a second session."""
_FEWEST_ROUNDS: Final = 5
_MOST_ROUNDS: Final = 50
_TRIAL_SECONDS: Final = 0.05
"""Time that each session is measured for, within these numbers of calls."""
_LEAST_GAIN: Final = 1.1
"""The gain from which the second session is kept: it takes the weights' memory again."""
_CALLS_BY_TRIAL: Final = 20
"""Time of calls, by that of a trial, after which it is made again where it chose one thread, each time twice as long:
another program may have held the processors in its 0.1 seconds."""
_CROWDED_CALLS: Final = 64
"""Calls that stay with one thread each after two callers have met: they would compete for the same processors."""


_Call = Callable[[ModelRunner], Sequence[Any]]


class SessionOpener(Protocol):
    """Makes a session of several threads, and checks it as the first one was checked."""

    def __call__(self, threads: int, /) -> ModelRunner:
        """Return a session of `threads` threads that has answered the golden samples.

        Raises:
            TorchstoneError: the model can't be read again, or answers otherwise.
        """


@dataclass(slots=True)
class _State:
    """What is known of the two sessions."""

    calls: int = 0
    fastest: float = float("inf")
    session: ModelRunner | None = None
    decided: bool = False
    note: str = ""
    trials: int = 0
    until_next: float = float("inf")
    """Seconds of calls until the trial is made again."""


class LatencySession:
    """Runs small calls on whichever session is faster; safe to be used from several threads.

    Args:
        first: session of one thread.
        opener: maker of the second session; it is called once in a process, when a call first needs it.
        threads: number of its threads, 2 or more.
        mode: `latency` makes it at once and keeps it; `auto` makes it after a few calls, measures both on the images
            at hand and keeps the faster.

    Raises:
        As for `opener`, where `mode` is `latency`.
    """

    def __init__(self, first: ModelRunner, opener: SessionOpener, threads: int, mode: Mode) -> None:
        self._first = first
        self._opener = opener
        self._threads = threads
        self._mode = mode
        self._lock = threading.Lock()
        self._callers = 0
        self._crowded = 0
        self._state = _State()
        _made.add(self)
        if mode == "latency":
            state = self._state
            state.session, state.decided = opener(threads), True
            state.note = f"small calls on {threads} threads (asked for by name)"

    @property
    def note(self) -> str:
        """What was decided and why, for people; empty before that."""
        return self._state.note

    def run(
        self, names: Sequence[str], feeds: Mapping[str, Uint8Array], _run_options: RunOptions | None = None, /
    ) -> Sequence[Any]:
        """Run the model on a small batch, as `InferenceSession.run` does.

        Args:
            names: names of the outputs.
            feeds: `images`, uint8 [N, C, H, W], N small.
            _run_options: not used: what is stopped from outside runs on the first session.

        Returns:
            An array per output.
        """
        with self._lock:
            state = self._state
            self._callers += 1
            alone = self._note_callers()
        call = partial(_run, names, feeds)
        try:
            if not alone:
                return call(self._first)
            if state.session is not None:
                return call(state.session)
            return self._calls_on_one(state, call) if state.decided else self._first_calls(state, call)
        finally:
            with self._lock:
                self._callers -= 1

    def keep_to_one(self) -> None:
        """Stay with one thread for a while: other callers are at work, if not here."""
        self._crowded = _CROWDED_CALLS

    def forget_session(self) -> None:
        """Start anew in a forked process, where the session's threads are not."""
        _keep_for_ever(self._state.session)
        alone = self._state.decided and self._state.session is None
        self._state = _State(decided=alone, note=self._state.note if alone else "")
        self._callers, self._lock = 0, threading.Lock()

    def _note_callers(self) -> bool:
        if self._callers > 1:
            self._crowded = _CROWDED_CALLS
        elif self._crowded:
            self._crowded -= 1
        return not self._crowded

    def _first_calls(self, state: _State, call: _Call) -> Sequence[Any]:
        started = time.perf_counter()
        answer = call(self._first)
        state.fastest = min(state.fastest, time.perf_counter() - started)
        state.calls += 1
        if state.calls > _CALLS_BEFORE:
            with self._lock:
                mine, state.decided = not state.decided, True
            if mine:
                self._try(state, call)
        return answer

    def _calls_on_one(self, state: _State, call: _Call) -> Sequence[Any]:
        started = time.perf_counter()
        answer = call(self._first)
        with self._lock:
            state.until_next -= time.perf_counter() - started
            due = state.until_next <= 0
            if due:
                state.until_next = float("inf")
        if due:
            self._try(state, call)
        return answer

    def _try(self, state: _State, call: _Call) -> None:
        if self._mode == "auto" and state.fastest < _WORTH_TRYING:
            state.note = f"small calls on 1 thread ({1e3 * state.fastest:.2f} ms each: too short to share)"
            return
        started = time.perf_counter()
        try:
            second = self._opener(self._threads)
        except TorchstoneError as error:
            state.note = f"small calls on 1 thread (no second session: {error.problem})"
            return
        rounds = round(_TRIAL_SECONDS / state.fastest)
        alone, shared = _measure(call, max(_FEWEST_ROUNDS, min(rounds, _MOST_ROUNDS)), self._first, second)
        if self._mode == "latency" or alone >= _LEAST_GAIN * shared:
            state.session = second
            state.note = f"small calls on {self._threads} threads (measured {alone / shared:.1f} times as fast as 1)"
        else:
            times = "" if state.trials == 0 else f" in trial {state.trials + 1}"
            state.note = f"small calls on 1 thread ({self._threads} measured {alone / shared:.1f} times as fast{times})"
            state.until_next = (time.perf_counter() - started) * _CALLS_BY_TRIAL * 2**state.trials
            state.trials += 1


def _run(names: Sequence[str], feeds: Mapping[str, Uint8Array], session: ModelRunner) -> Sequence[Any]:
    return session.run(names, feeds)


def _measure(call: _Call, rounds: int, *sessions: ModelRunner) -> list[float]:
    """Return the shortest time of each in seconds, measured in turns."""
    for session in sessions:
        call(session)  # a first call allocates
    shortest = [float("inf")] * len(sessions)
    for _ in range(rounds):
        for which, session in enumerate(sessions):
            started = time.perf_counter()
            call(session)
            shortest[which] = min(shortest[which], time.perf_counter() - started)
    return shortest


def _keep_for_ever(session: ModelRunner | None) -> None:
    # Taking it down would wait forever for threads that a forked process does not have.
    if session is not None:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


_made: "weakref.WeakSet[LatencySession]" = weakref.WeakSet()


def _after_fork() -> None:
    for made in list(_made):
        made.forget_session()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
