"""Blur, by whole-number weights: exact sums don't depend on their order, hence not on the batch or the machine."""

import math
from functools import lru_cache
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.corruption.random_streams import ImageStreams

_ONE: Final = 4096
_BETWEEN: Final = 16
"""Weights are multiples of 1/4096, values between the two passes of 1/16: 255 * 16 * 4096 < 2**24, which float32
holds exactly."""
DIRECTIONS: Final = 8


def gaussian_blur(images: Uint8Array, share: float, streams: ImageStreams) -> Uint8Array:
    """Blur with a Gaussian whose standard deviation is a share of the shorter side; borders are repeated outwards."""
    del streams
    height, width = images.shape[-2:]
    deviation = share * min(height, width)
    values = np.matmul(images.astype(np.float32), _weights(width, deviation).T)
    values = np.rint(values * np.float32(_BETWEEN / _ONE))
    values = np.matmul(_weights(height, deviation), values)
    blurred: Uint8Array = np.rint(values * np.float32(1 / (_ONE * _BETWEEN))).astype(np.uint8)
    return blurred


def motion_blur(images: Uint8Array, share: float, streams: ImageStreams) -> Uint8Array:
    """Average along a line whose length is a share of the shorter side, in one of eight directions an image."""
    height, width = images.shape[-2:]
    reach = max(1, round(share * min(height, width) / 2))
    chosen = streams.whole(1)[:, 0] % DIRECTIONS
    moved = np.empty_like(images)
    for direction in np.unique(chosen).tolist():
        members = np.flatnonzero(chosen == direction)
        moved[members] = _along(images[members], math.pi * direction / DIRECTIONS, reach)
    return moved


def _along(images: Uint8Array, angle: float, reach: int) -> Uint8Array:
    # As many pixels before as after: nothing is moved.
    height, width = images.shape[-2:]
    taps = 2 * reach + 1
    padded = np.pad(images, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
    total = np.zeros(images.shape, dtype=np.uint32)
    for step in range(-reach, reach + 1):
        row, column = reach + round(step * math.sin(angle)), reach + round(step * math.cos(angle))
        total += padded[..., row : row + height, column : column + width]
    return ((total + taps // 2) // taps).astype(np.uint8)


@lru_cache(maxsize=16)
def _weights(side: int, deviation: float) -> Float32Array:
    """Return whole-number weights, float32 [side, side]; each row sums to 4096, the border's repetitions included."""
    radius = math.ceil(3 * deviation)
    exact = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    kernel = np.floor(exact / exact.sum() * _ONE)
    kernel[radius] += _ONE - kernel.sum()
    weights = np.zeros((side, side), dtype=np.float32)
    rows = np.arange(side)
    for offset, weight in zip(range(-radius, radius + 1), kernel, strict=True):
        weights[rows, np.clip(rows + offset, 0, side - 1)] += np.float32(weight)
    return weights
