"""PNG files of every kind that the format has: Pillow writes neither interlaced ones nor 16 bits of colour."""

import struct
import zlib
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array

KINDS: Final = (
    *((0, depth) for depth in (1, 2, 4, 8, 16)),
    *((3, depth) for depth in (1, 2, 4, 8)),
    *((color, depth) for color in (2, 4, 6) for depth in (8, 16)),
)
"""Colour types with the depths that they may have."""

_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def make_png(
    kind: tuple[int, int], size: tuple[int, int], seed: int, *, interlaced: bool = False, orientation: int = 1
) -> bytes:
    """Return a PNG file of random pixels, with all five filters, and chunks of a few bytes.

    Args:
        kind: colour type and bit depth, one of `KINDS`.
        size: height and width.
        seed: seed of pixels, palette and filters.
        interlaced: whether it is in Adam7's seven passes.
        orientation: orientation in an eXIf chunk; none for 1.
    """
    (color, depth), (height, width), random = kind, size, np.random.default_rng(seed)
    samples = random.integers(0, 1 << depth, (height, width, _CHANNELS[color]))
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    body = b"".join(_lines(samples[y::down, x::across], depth, random) for x, y, across, down in passes)
    packed = zlib.compress(body)
    header = struct.pack(">2I5B", width, height, depth, color, 0, 0, int(interlaced))
    exif = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    chunks = [
        _chunk(b"IHDR", header),
        *([_chunk(b"PLTE", random.bytes(3 << depth))] if color == 3 else []),
        *([_chunk(b"eXIf", exif)] if orientation != 1 else []),
        *(_chunk(b"IDAT", packed[start : start + 50]) for start in range(0, len(packed), 50)),
        _chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _lines(samples: "np.typing.NDArray[np.int64]", depth: int, random: np.random.Generator) -> bytes:
    if samples.size == 0:
        return b""
    lines = samples.reshape(len(samples), -1)
    bits = (lines[:, :, np.newaxis] >> np.arange(depth - 1, -1, -1)) & 1
    packed = np.packbits(bits.reshape(len(lines), -1).astype(np.uint8), axis=1).astype(int)
    step = max(1, samples.shape[2] * depth // 8)
    return b"".join(_filtered(packed, row, step, int(random.integers(5))) for row in range(len(packed)))


def _filtered(packed: "np.typing.NDArray[np.int64]", row: int, step: int, kind: int) -> bytes:
    line = packed[row]
    above = packed[row - 1] if row else np.zeros_like(line)
    left = np.concatenate([np.zeros(step, int), line])[: len(line)]
    corner = np.concatenate([np.zeros(step, int), above])[: len(line)]
    far = [abs(left + above - corner - place) for place in (left, above, corner)]
    paeth = np.where((far[0] <= far[1]) & (far[0] <= far[2]), left, np.where(far[1] <= far[2], above, corner))
    guess = (0, left, above, (left + above) // 2, paeth)[kind]
    filtered: Uint8Array = ((line - guess) % 256).astype(np.uint8)
    return bytes([kind]) + filtered.tobytes()
