"""When the bytes of a request arrived: while the event loop was at something else they waited in the system."""

import asyncio
import selectors
import time
from typing import Final

_BLOCKED: Final = 1e-4
"""Seconds from which a poll has waited: nothing was there when it began."""


class ArrivalSelector(selectors.DefaultSelector):
    """A selector that knows since when what it found last may have been there.

    What a poll finds was not there at the end of the one before; where the poll itself had to wait, it came just now.

    Attributes:
        since: earliest time at which what the latest poll found may have arrived, of the event loop's clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.since = self._ended = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll as every selector does, and note when."""
        began = time.monotonic()
        found = super().select(timeout)
        now = time.monotonic()
        self.since = now if now - began > _BLOCKED else self._ended
        self._ended = now
        return found


class ArrivalLoop(asyncio.SelectorEventLoop):
    """An event loop that knows when what it reads arrived, to one of its turns.

    Attributes:
        arrivals: its selector.
    """

    def __init__(self) -> None:
        self.arrivals = ArrivalSelector()
        super().__init__(self.arrivals)


def arrival_time(loop: asyncio.AbstractEventLoop) -> float:
    """Return the time of the loop's clock at which what it reads now arrived, rather too early than too late.

    Args:
        loop: the running loop; of another kind than `ArrivalLoop`, it knows no better than the present.
    """
    return loop.arrivals.since if isinstance(loop, ArrivalLoop) else loop.time()
