"""Native calls and `os.fork` keep out of each other's way.

A process that is forked while another thread is inside ONNX Runtime gets that thread's locks, but not the thread that
would release them: its first call may wait forever. So a fork waits for the calls in progress, each of a
micro-batch, and calls that would begin meanwhile wait for the fork.
"""

import os
import threading
from types import TracebackType
from typing import Final

_PATIENCE: Final = 30.0
"""Seconds after which a fork goes ahead all the same: rather a risk in the child than a parent that stands still."""


class ForkGate:
    """Counts calls in progress, and lets a fork wait until there are none. A call is a `with` block of the gate."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._running = 0
        self._forking = False

    def __enter__(self) -> None:
        with self._lock:
            while self._forking:
                self._changed.wait()
            self._running += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._running -= 1
            if self._forking:
                self._changed.notify_all()

    def before_fork(self) -> None:
        """Let no call begin, and wait until none is in progress."""
        with self._changed:
            self._forking = True
            self._changed.wait_for(lambda: self._running == 0, _PATIENCE)

    def after_in_parent(self) -> None:
        """Let calls begin again."""
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    def after_in_child(self) -> None:
        """Start anew: the other threads are not here."""
        self.__init__()  # type: ignore[misc]  # the same object, with locks of its own


FORK_GATE: Final = ForkGate()

if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(
        before=FORK_GATE.before_fork,
        after_in_parent=FORK_GATE.after_in_parent,
        after_in_child=FORK_GATE.after_in_child,
    )
