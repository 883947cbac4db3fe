"""Moved and turned pictures. What was outside is unknown: the border is repeated, which adds no edge."""

import math
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.corruption.random_streams import ImageStreams

_LEVELS: Final = 1 << 16
_PARTS: Final = 64
"""Bilinear weights are multiples of 1/64 in each direction: whole numbers, so that sums are exact."""


def shift(images: Uint8Array, share: float, streams: ImageStreams) -> Uint8Array:
    """Move by a share of the shorter side, rounded to whole pixels, in a direction of the image's own."""
    height, width = images.shape[-2:]
    distance = share * min(height, width)
    angle = streams.whole(1)[:, 0].astype(np.float64) * (2 * math.pi / _LEVELS)
    down = np.rint(distance * np.sin(angle)).astype(np.int64)
    right = np.rint(distance * np.cos(angle)).astype(np.int64)
    rows = np.clip(np.arange(height) - down[:, np.newaxis], 0, height - 1)
    columns = np.clip(np.arange(width) - right[:, np.newaxis], 0, width - 1)
    flat = rows[:, :, np.newaxis] * width + columns[:, np.newaxis, :]
    pixels = images.reshape(*images.shape[:2], height * width)
    moved = np.take_along_axis(pixels, flat.reshape(len(images), 1, -1), axis=2)
    return moved.reshape(images.shape)


def rotation(images: Uint8Array, degrees: float, streams: ImageStreams) -> Uint8Array:
    """Turn about the centre, one way or the other, with bilinear interpolation."""
    turned = np.empty_like(images)
    left = (streams.whole(1)[:, 0] & 1).astype(bool)
    for members, angle in ((np.flatnonzero(left), degrees), (np.flatnonzero(~left), -degrees)):
        turned[members] = _turn(images[members], angle)
    return turned


def _turn(images: Uint8Array, degrees: float) -> Uint8Array:
    count, channels, height, width = images.shape
    pixels = images.reshape(count, channels, height * width)
    total = np.full(pixels.shape, _PARTS * _PARTS // 2, dtype=np.uint32)  # one half, so that it rounds
    for indices, weights in _corners(height, width, degrees):
        total += pixels[..., indices] * weights
    return (total // (_PARTS * _PARTS)).astype(np.uint8).reshape(images.shape)


@lru_cache(maxsize=4)
def _corners(height: int, width: int, degrees: float) -> list[tuple[Int64Array, npt.NDArray[np.uint32]]]:
    """Return, for each of the four neighbours of every turned pixel's place, its index [H*W] and weight [H*W]."""
    angle = math.radians(degrees)
    down, right = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    rows = _fixed(down * math.cos(angle) - right * math.sin(angle) + (height - 1) / 2, height)
    columns = _fixed(down * math.sin(angle) + right * math.cos(angle) + (width - 1) / 2, width)
    corners = []
    for low in (True, False):
        for left in (True, False):
            row, row_weight = _neighbour(rows, height, low=low)
            column, column_weight = _neighbour(columns, width, low=left)
            corners.append((row * width + column, (row_weight * column_weight).astype(np.uint32)))
    return corners


def _fixed(places: npt.NDArray[np.float64], side: int) -> Int64Array:
    return np.rint(np.clip(places, 0, side - 1) * _PARTS).astype(np.int64).ravel()


def _neighbour(places: Int64Array, side: int, *, low: bool) -> tuple[Int64Array, Int64Array]:
    below, part = places // _PARTS, places % _PARTS
    return (below, _PARTS - part) if low else (np.minimum(below + 1, side - 1), part)
