"""Clients that misbehave, and one that doesn't: raw sockets against a server, each wait bounded."""

import asyncio
import gzip
import json
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array

_PATIENCE: Final = 30.0
"""Longest wait for anything: a client that waits longer has found a fault."""
REFUSALS: Final = frozenset({400, 408, 411, 413, 415, 422, 431, 503, 504})
"""What a server may answer to a request that is wrong, too large, too slow or too much."""


def infer_request(images: Uint8Array) -> bytes:
    """Return a request to the model `m`, with a binary tensor; the logits are asked for as one."""
    size = images.size
    named = {
        "name": "images",
        "shape": images.shape,
        "datatype": "UINT8",
        "parameters": {"binary_data_size": size},
    }
    wanted = {"name": "logits", "parameters": {"binary_data": True}}
    text = json.dumps({"inputs": [named], "outputs": [wanted]}).encode()
    return _post("/v2/models/m/infer", text + images.tobytes(), f"Inference-Header-Content-Length: {len(text)}")


def logits_of(head: bytes, body: bytes, classes: int = 10) -> Float32Array:
    """Return the logits of an answer to `infer_request`."""
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"inference-header-content-length"))
    return np.frombuffer(body[int(length.split(b":")[1]) :], dtype="<f4").reshape(-1, classes)


def bomb_png(side: int = 60_000) -> bytes:
    """Return a PNG file of a few bytes that states `side` x `side` pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


@cache
def bad_requests() -> dict[str, bytes]:
    """Return whole requests that must be refused, by what is wrong with them."""
    image = np.zeros((1, 1, 28, 28), dtype=np.uint8)
    gzip_bomb = gzip.compress(bytes(80 << 20))
    return {
        "gzip bomb": _post("/predict", gzip_bomb, "Content-Encoding: gzip"),
        "damaged gzip": _post("/predict", gzip_bomb[:-100], "Content-Encoding: gzip"),
        "picture of 60,000 x 60,000": _post("/predict", bomb_png()),
        "no picture": _post("/predict", b"no picture at all"),
        "no JSON": _post("/v2/models/m/infer", b"{"),
        "header longer than the body": _post("/v2/models/m/infer", b"{}", "Inference-Header-Content-Length: 99999"),
        "negative length": _post("/v2/models/m/infer", b"{}", "Inference-Header-Content-Length: -1"),
        "tensor too short": _post("/v2/models/m/infer", *_shortened(image)),
        "huge header": b"POST /predict HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
        "stated length of a terabyte": b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1099511627776\r\n\r\n",
    }


class Client:
    """A well-behaved client on one connection, which is made anew where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> tuple[int, bytes, bytes]:
        """Send a request and return the status, the head and the body of the answer."""
        async with asyncio.timeout(_PATIENCE):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(_length(head))
            if b"connection: close" in head.lower():
                await self.close()
            return int(head[9:12]), head, body

    async def close(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def refused(port: int, request: bytes) -> int:
    """Send a request that is wrong and return the status it is refused with; 0 where the connection is closed."""
    client = Client(port)
    try:
        return (await client.send(request))[0]
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0
    finally:
        await client.close()


async def leave(port: int, request: bytes, after: Sequence[float] = (0.0,)) -> None:
    """Send parts of a request with pauses between, and leave without reading the answer."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    step = max(1, len(request) // len(after))
    try:
        for index, pause in enumerate(after):
            writer.write(request[index * step : (index + 1) * step])
            await asyncio.sleep(pause)
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()


def _post(path: str, body: bytes, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _shortened(images: Uint8Array) -> tuple[bytes, str]:
    named = {"name": "images", "shape": images.shape, "datatype": "UINT8", "parameters": {"binary_data_size": 700}}
    text = json.dumps({"inputs": [named]}).encode()
    return text + images.tobytes()[:700], f"Inference-Header-Content-Length: {len(text)}"


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    return 0
