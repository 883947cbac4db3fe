"""How many requests are at work, and waiting until none is."""

import asyncio


class InFlight:
    """Counts requests that have begun and have no answer yet. Lives on one event loop."""

    def __init__(self) -> None:
        self.requests = 0
        self._none = asyncio.Event()
        self._none.set()

    def begin(self) -> None:
        """Count a request."""
        self.requests += 1
        self._none.clear()

    def end(self) -> None:
        """Count its end."""
        self.requests -= 1
        if self.requests == 0:
            self._none.set()

    async def wait_for_none(self) -> None:
        """Wait until no request is in flight."""
        await self._none.wait()
