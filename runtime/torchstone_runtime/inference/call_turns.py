"""Callers take turns: as many calls at once as there are workers, whoever came first being served first.

Sixteen threads with a call each on two processors would otherwise all be computed at once, each a slice at a time:
every call then takes as long as all of them together, the slowest much longer, and none finds its cache as it left it.
Whoever has a turn may do the work of those who wait.
"""

import os
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final

from torchstone_runtime.arrays import Uint8Array

Answer = Sequence[Any]


class Caller:
    """A caller that waits for a turn, or for an answer that another caller computes for it.

    Args:
        images: images that another caller may compute; None where it computes for itself.

    Attributes:
        answer: answer that another caller computed; None where there is none.
        has_turn: whether it has a turn.
    """

    __slots__ = ("_waits", "answer", "has_turn", "images")

    def __init__(self, images: Uint8Array | None = None) -> None:
        self.images = images
        self.answer: Answer | None = None
        self.has_turn = False
        self._waits = threading.Lock()
        self._waits.acquire()

    def wait(self) -> None:
        """Wait until it is woken."""
        self._waits.acquire()

    def wake(self) -> None:
        """Let it go on."""
        self._waits.release()


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
        self._waiting: deque[Caller] = deque()

    def __enter__(self) -> None:
        self.enter(None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    @property
    def crowded(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    def enter(self, images: Uint8Array | None) -> Caller | None:
        """Wait for a turn, or for an answer.

        Args:
            images: images that whoever has a turn may compute as well; None where nobody else may.

        Returns:
            None where the caller has a turn, which it ends by `leave`. Otherwise itself, taken out of the line by
            another caller: with its answer, or without one where that caller failed.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            caller = Caller(images)
            self._waiting.append(caller)
        try:
            caller.wait()
        except BaseException:  # Ctrl-C while it waits
            self._give_up(caller)
            raise
        return None if caller.has_turn else caller

    def leave(self) -> None:
        """End a turn: whoever waits longest has it next."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            caller = self._waiting.popleft()
            caller.has_turn = True
        caller.wake()

    def take_along(self, most: int) -> list[Caller]:
        """Take out of the line those who come next, to be answered by the caller that has a turn.

        Args:
            most: largest number of images they may have together.
        """
        taken: list[Caller] = []
        with self._lock:
            while self._waiting:
                images = self._waiting[0].images
                if images is None or len(images) > most:
                    break
                most -= len(images)
                taken.append(self._waiting.popleft())
        return taken

    def start_anew(self) -> None:
        """Forget the callers of the process that this one was forked from."""
        self._begin()

    def _give_up(self, caller: Caller) -> None:
        with self._lock:
            if caller in self._waiting:
                self._waiting.remove(caller)
                return
        if caller.has_turn:
            self.leave()


_made: "weakref.WeakSet[CallTurns]" = weakref.WeakSet()


def _after_fork() -> None:
    for made in list(_made):
        made.start_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
