"""Reading the body of a request: no more of it than allowed, no longer than allowed, and decompressed."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request

from torchstone_runtime.protocol.body import decompress
from torchstone_runtime.protocol.request_error import RequestError
from torchstone_runtime.serving.core.refusals import QueueFullError, TooLargeError
from torchstone_runtime.serving.core.served_model import REASONS, ServedModel
from torchstone_runtime.serving.http.body_room import BodyLease
from torchstone_runtime.serving.http.request_record import record_of
from torchstone_runtime.serving.http.shared_state import Site

LARGE_BODY: Final = 256 << 10
"""Bytes from which a body is read by a thread: parsing one of 64 MiB would hold up everybody else's requests."""
_MOST_GROWTH: Final = 1032
"""Times that deflate may make something smaller (zlib's documentation)."""
_TOO_LARGE: Final = 413
_MOST_DIGITS: Final = 100
"""Digits of a `Content-Length` that are read: Python reads a few thousand at most."""

Look = Callable[[list[bytes], int], bool]
"""Function of the parts of a body so far and their bytes: a first look. It says whether it has seen what it wanted."""


async def read_body(request: Request, site: Site, look: Look | None = None) -> bytes:
    """Return the decompressed body of a request, which takes room until the request has its answer.

    Args:
        request: the request.
        site: settings and room.
        look: called with the beginnings of a body that is not compressed while more of it comes; it may raise.

    Raises:
        RequestError: 413 too large, 408 too slow, 415 an unknown coding, 400 damaged.
        QueueFullError: there is no room for it beside the bodies of others.
        ClientDisconnect: the client left.
    """
    limit, allowed = site.settings.max_body, site.settings.body_timeout
    lease = record_of(request).body = site.bodies.lease()
    stated = request.headers.get("content-length", "")
    if stated.isdecimal():
        digits = stated.lstrip("0") or "0"
        if len(digits) > _MOST_DIGITS or int(digits) > limit:
            raise _too_large(limit)
        lease.hold(int(digits))
        lease.hold(0)  # only what has come takes room: clients that send halves would take that of all others
    coding = request.headers.get("content-encoding")
    try:
        async with asyncio.timeout(allowed):
            body = await _receive_all(request, limit, lease, look if coding is None else None)
    except TimeoutError as error:
        raise RequestError(408, f"The body did not arrive within {allowed:g} s.") from error
    return body if coding is None else await _decompressed(body, coding, limit, lease)


@contextmanager
def counting_refusals(model: ServedModel) -> Iterator[None]:
    """Count a request that is too large or finds no room inside: its model, which counts others, never sees it."""
    try:
        yield
    except (QueueFullError, TooLargeError) as error:
        model.statistics.add_rejection(REASONS[type(error)], 0.0)
        raise
    except RequestError as error:
        if error.status == _TOO_LARGE:
            model.statistics.add_rejection("too_large", 0.0)
        raise


async def _decompressed(body: bytes, coding: str, limit: int, lease: BodyLease) -> bytes:
    lease.hold(len(body) + min(limit, len(body) * _MOST_GROWTH))
    if len(body) <= LARGE_BODY >> 4:  # it may have become a thousand times smaller
        content = decompress(body, coding, limit)
    else:
        content = await asyncio.to_thread(decompress, body, coding, limit)
    lease.hold(len(content))
    return content


async def _receive_all(request: Request, limit: int, lease: BodyLease, look: Look | None) -> bytes:
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
        lease.hold(size)
        parts.append(part)
        if look is not None and more and look(parts, size):
            look = None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limit: int) -> RequestError:
    return RequestError(_TOO_LARGE, f"The body has more than {limit:,} bytes, the most that is taken.")
