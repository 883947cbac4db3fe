"""Noticing that a client has left while its request is worked on."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request

_Made = TypeVar("_Made")
_PATIENCE: Final = 0.005
"""Seconds before it is looked whether the client is there: most answers come earlier, and cost no task for it."""


async def while_connected(request: Request, work: Coroutine[Any, Any, _Made]) -> _Made:
    """Do work for a client until it leaves; the request's body must have been read.

    Raises:
        ClientDisconnect: it left, and the work was cancelled.
    """
    watch = _Watch(request)
    try:
        return await work
    except asyncio.CancelledError:
        if watch.client_left:
            raise ClientDisconnect from None
        raise
    finally:
        watch.end()


class _Watch:
    def __init__(self, request: Request) -> None:
        self.client_left = False
        self._request = request
        self._worker = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_PATIENCE, self._begin)

    def end(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _begin(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self.client_left = True
        if self._worker is not None:
            self._worker.cancel()
