"""Resizing without antialiasing: every pixel is sampled between the nearest of the picture, however far it shrinks.

That is what `torch.nn.functional.interpolate` computes with `align_corners=False, antialias=False`, here in double
precision and in a stated order, so that every machine gives the same pixels; OpenCV's `INTER_LINEAR` and `INTER_CUBIC`
are the same in whole numbers of 11 bits.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Uint8Array

_A: Final = -0.75
"""Constant of the cubic convolution (R. Keys, 1981) as OpenCV and PyTorch have it; Pillow's is -0.5."""

_BLOCK: Final = 64
"""Rows computed at a time, which bounds the memory."""


def sample(pixels: Uint8Array, size: tuple[int, int], rows: range, columns: range, *, cubic: bool) -> Uint8Array:
    """Return a part of a picture as it would be at another size.

    Args:
        pixels: uint8 [h, w] or [h, w, C].
        size: height and width that the whole picture is resized to.
        rows: rows of the resized picture that are wanted.
        columns: columns of it that are wanted.
        cubic: bicubic (4 x 4 neighbours) in place of bilinear (2 x 2).

    Returns:
        uint8 [len(rows), len(columns)] or [len(rows), len(columns), C]; rounded to the nearest, halves up.
    """
    down, down_weights = _neighbours(pixels.shape[0], size[0], rows, cubic=cubic)
    across, across_weights = _neighbours(pixels.shape[1], size[1], columns, cubic=cubic)
    if pixels.ndim > 2:  # noqa: PLR2004 - rows and columns
        down_weights, across_weights = down_weights[..., np.newaxis], across_weights[..., np.newaxis]
    parts = []
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, start + _BLOCK)
        lines = [
            _weighted([pixels[tap][:, one] for one in across], across_weights[:, np.newaxis]) for tap in down[:, block]
        ]
        values = _weighted(lines, down_weights[:, block, np.newaxis])
        parts.append(np.floor(values + 0.5).clip(0, 255).astype(np.uint8))
    return np.concatenate(parts)


def _weighted(values: list[npt.NDArray[Any]], weights: Float64Array) -> Float64Array:
    total: Float64Array = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=True):
        total = total + weight * value
    return total


def _neighbours(size: int, target: int, wanted: range, *, cubic: bool) -> tuple[npt.NDArray[np.int64], Float64Array]:
    """Return indices and weights, [taps, len(wanted)], of the pixels along one axis; outside, the edge is repeated."""
    centres = (np.asarray(wanted) + 0.5) * (size / target) - 0.5
    first = np.floor(centres)
    weights = _cubic(centres - first) if cubic else np.stack([1 - (centres - first), centres - first])
    taps = np.arange(-1, 3) if cubic else np.arange(2)
    indices: npt.NDArray[np.int64] = (first + taps[:, np.newaxis]).clip(0, size - 1).astype(np.int64)
    return indices, weights


def _cubic(t: Float64Array) -> Float64Array:
    def near(x: Float64Array) -> Float64Array:
        return ((_A + 2) * x - (_A + 3)) * x * x + 1

    def far(x: Float64Array) -> Float64Array:
        return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A

    return np.stack([far(t + 1), near(t), near(1 - t), far(2 - t)])
