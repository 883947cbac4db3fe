"""What is measured of an image and of the answer to it, one number each, so that many can be compared with many.

Sums of pixels are whole numbers and exact: an image has the same figures on every machine. Equal values therefore stay
equal, which the comparison of two samples counts on.
"""

from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array, Uint8Array

IMAGE_FEATURES: Final = ("brightness", "contrast", "sharpness", "grain", "direction", "border", "off-centre", "colour")
"""What `image_features` measures, in the order of its columns."""
CONFIDENCE: Final = "confidence"
CLASSES: Final = "classes"
MOST_LOG_ODDS: Final = 100.0
"""Beyond any that is told apart: exp(-100) is 4e-44."""

_LINES: Final = 64
_AT_ONCE: Final = 1 << 16
"""Pixels whose figures are computed together: the copies stay near the cache."""


def image_features(images: Uint8Array) -> Float64Array:
    """Return what is measured of each image, from all pixels of some 64 rows and 64 columns of it.

    Args:
        images: uint8 [N, C, H, W], as the model takes them.

    Returns:
        float64 [N, 8], with the columns of `IMAGE_FEATURES`: mean level (0 to 255); standard deviation of the levels;
        mean absolute second difference of neighbouring pixels along rows and columns (edges and noise raise it, blur
        lowers it); the same divided by the mean absolute first difference, which says how fine the detail is, whatever
        the contrast; share of the first differences that lies along columns; mean level of the outermost pixels;
        distance of the brightness's centre of mass from the image's centre, in shares of the diagonal; and mean spread
        of a pixel's channels (0 for gray).
    """
    per_image = max(1, int(np.prod(images.shape[1:])))
    at_once = max(1, _AT_ONCE // per_image)
    parts = [_measure(images[start : start + at_once]) for start in range(0, len(images), at_once)]
    return np.concatenate(parts) if parts else np.empty((0, len(IMAGE_FEATURES)))


def confidence_log_odds(logits: Float32Array, temperature: float) -> Float64Array:
    """Return the log odds of the chosen class, float64 [N], limited to 100 either way.

    They order images as the confidence does, but don't run together where it is nearly 1: there the last bit, which
    differs from machine to machine, would tell images apart.

    Args:
        logits: float32 [N, K].
        temperature: temperature that the model divides them by before the softmax.
    """
    scaled = logits.astype(np.float64) / temperature
    first = scaled.max(axis=1, keepdims=True)
    others = np.exp(scaled - first)
    others[np.arange(len(scaled)), scaled.argmax(axis=1)] = 0
    with np.errstate(divide="ignore"):
        odds: Float64Array = np.clip(-np.log(others.sum(axis=1)), -MOST_LOG_ODDS, MOST_LOG_ODDS)
    return odds


def _measure(images: Uint8Array) -> Float64Array:
    channels, height, width = images.shape[1:]
    step = max(1, min(height, width) // _LINES)
    rows = _summed(images[:, :, ::step, :])
    columns = _summed(images[:, :, :, ::step])
    along, across = np.abs(np.diff(rows, axis=2)), np.abs(np.diff(columns, axis=1))
    first = _total(along) + _total(across)
    second = _total(np.abs(np.diff(rows, 2, axis=2))) + _total(np.abs(np.diff(columns, 2, axis=1)))
    steps = max(1, along[0].size + across[0].size) * channels
    grid = rows[:, :, ::step]
    found = (
        _total(rows) / (rows[0].size * channels),
        _deviation(rows, channels),
        second / steps,
        _ratio(second, first),
        _ratio(_total(across), first),
        _border(images),
        _off_centre(grid),
        _total(np.ptp(images[:, :, ::step, ::step], axis=1)) / grid[0].size,
    )
    return np.stack([np.asarray(values, dtype=np.float64) for values in found], axis=1)


def _summed(images: Uint8Array) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    # Four channels of 255 are 1,020, their second differences twice that: int16 holds them.
    return images[:, 0].astype(np.int16) if images.shape[1] == 1 else images.sum(axis=1, dtype=np.int16)


def _total(values: "np.ndarray[tuple[int, ...], np.dtype[np.integer]]") -> Int64Array:
    total: Int64Array = values.sum(axis=(1, 2), dtype=np.int64)
    return total


def _deviation(rows: "np.ndarray[tuple[int, ...], np.dtype[np.int16]]", channels: int) -> Float64Array:
    wide, count = rows.astype(np.int32), rows[0].size
    variance = count * _total(wide * wide) - _total(wide) ** 2
    deviation: Float64Array = np.sqrt(variance.astype(np.float64)) / (count * channels)
    return deviation


def _border(images: Uint8Array) -> Float64Array:
    edges = (images[:, :, 0, :], images[:, :, -1, :], images[:, :, :, 0], images[:, :, :, -1])
    total = sum(_total(edge) for edge in edges)
    border: Float64Array = total / sum(edge[0].size for edge in edges)
    return border


def _off_centre(grid: "np.ndarray[tuple[int, ...], np.dtype[np.int16]]") -> Float64Array:
    height, width = grid.shape[1:]
    by_row, by_column = grid.sum(axis=2, dtype=np.int64), grid.sum(axis=1, dtype=np.int64)
    total = by_row.sum(axis=1)
    # Twice the distance, so that centres between two pixels are whole numbers.
    down = (by_row @ (2 * np.arange(height) - (height - 1))).astype(np.float64)
    right = (by_column @ (2 * np.arange(width) - (width - 1))).astype(np.float64)
    # Not hypot, whose last bit is each library's own.
    return _ratio(np.sqrt(down * down + right * right), total * (2 * np.sqrt(height * height + width * width)))


def _ratio(part: "np.ndarray", whole: "np.ndarray") -> Float64Array:
    ratio: Float64Array = np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0)
    return ratio
