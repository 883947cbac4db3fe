"""Reading the body of a request: no more of it than allowed, no longer than allowed, and decompressed."""

import asyncio
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from torchstone_runtime.protocol.body import decompress
from torchstone_runtime.protocol.request_error import RequestError
from torchstone_runtime.serving.http.settings import HttpSettings

LARGE_BODY: Final = 256 << 10
"""Bytes from which a body is read by a thread: parsing one of 64 MiB would hold up everybody else's requests."""


async def read_body(request: Request, settings: HttpSettings) -> bytes:
    """Return the decompressed body of a request.

    Raises:
        RequestError: 413 too large, 408 too slow, 415 an unknown coding, 400 damaged.
        ClientDisconnect: the client left.
    """
    limit = settings.max_body
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(settings.body_timeout):
            body = await _receive_all(request, limit)
    except TimeoutError as error:
        raise RequestError(408, f"The body did not arrive within {settings.body_timeout:g} s.") from error
    coding = request.headers.get("content-encoding")
    if coding is None:
        return body
    if len(body) <= LARGE_BODY >> 4:  # it may have become a thousand times smaller
        return decompress(body, coding, limit)
    return await asyncio.to_thread(decompress, body, coding, limit)


async def _receive_all(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message: Any = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> RequestError:
    return RequestError(413, f"The body has more than {limit:,} bytes, the most that is taken.")
