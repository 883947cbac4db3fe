"""Callers take turns: as many calls at once as there are workers, whoever came first being served first.

Sixteen threads with a call each on two processors would otherwise all be computed at once, each a slice at a time:
every call then takes as long as all of them together, the slowest much longer, and none finds its cache as it left it.
"""

import os
import threading
import weakref
from collections import deque
from types import TracebackType
from typing import Final


class CallTurns:
    """Lets a number of calls go on at once, in the order in which they came. A call is a `with` block of it.

    Args:
        places: number of calls at once, 1 or more.
    """

    def __init__(self, places: int) -> None:
        self._places: Final = places
        self._begin()
        _made.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._free = self._places
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()  # whoever leaves releases it, and so hands its place over
            self._waiting.append(turn)
        try:
            turn.acquire()
        except BaseException:  # Ctrl-C while it waits
            self._give_up(turn)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1

    def start_anew(self) -> None:
        """Forget the callers of the process that this one was forked from."""
        self._begin()

    def _give_up(self, turn: threading.Lock) -> None:
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self.__exit__(None, None, None)  # it had its place already


_made: "weakref.WeakSet[CallTurns]" = weakref.WeakSet()


def _after_fork() -> None:
    for made in list(_made):
        made.start_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
