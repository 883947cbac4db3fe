"""Resizing as OpenCV and PyTorch do it by default: without antialiasing, which Pillow always applies."""

from collections.abc import Callable
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array

_Kernel = Callable[[Float64Array], Float64Array]


def _triangle(distance: Float64Array) -> Float64Array:
    return np.clip(1 - distance, 0, None)


def _keys(distance: Float64Array) -> Float64Array:
    """Cubic convolution with a = -0.75 (R. Keys, 1981; the constant of OpenCV and PyTorch)."""
    a = -0.75
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))  # noqa: PLR2004 - the kernel's pieces


def _weights(size: int, target: int, kernel: _Kernel, *, corners: bool = False) -> Float64Array:
    """Return the matrix [target, size] that resamples one axis; outside, the edge is repeated."""
    steps = np.arange(target)
    scale = (size - 1) / max(target - 1, 1) if corners else size / target
    centres = steps * scale if corners else (steps + 0.5) * scale - 0.5
    matrix = np.zeros((target, size))
    for tap in range(-1, 3):
        position = np.floor(centres) + tap
        np.add.at(matrix, (steps, position.clip(0, size - 1).astype(int)), kernel(np.abs(centres - position)))
    return matrix


def _nearest(size: int, target: int) -> Float64Array:
    matrix = np.zeros((target, size))
    matrix[np.arange(target), np.arange(target) * size // target] = 1
    return matrix


INTERPOLATIONS: Final[dict[str, Callable[[int, int], Float64Array]]] = {
    "bilinear without antialiasing (OpenCV, PyTorch)": lambda size, target: _weights(size, target, _triangle),
    "bilinear with aligned corners": lambda size, target: _weights(size, target, _triangle, corners=True),
    "bicubic without antialiasing (OpenCV, PyTorch)": lambda size, target: _weights(size, target, _keys),
    "nearest as OpenCV and PyTorch round it": _nearest,
}


def interpolate(pixels: Float64Array, height: int, width: int, name: str) -> Float64Array:
    """Resize [C, h, w] to [C, height, width] in the way of that name; clipped to 0..255."""
    matrix = INTERPOLATIONS[name]
    rows, columns = matrix(pixels.shape[1], height), matrix(pixels.shape[2], width)
    return np.clip(rows @ pixels @ columns.T, 0, 255)
