"""Ctrl-C as a request that is met at the next step, so that what was learnt is kept."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class GracefulInterrupt:
    """Inside its block the first SIGINT or SIGTERM only sets `requested`; a second one interrupts at once.

    A handler that the process has of its own is called as well.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only it may set handlers
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not None:  # one that Python did not set could not be put back
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        own = self._previous[number]
        if callable(own) and own is not signal.default_int_handler:  # a service learns that it is to end
            own(number, frame)
