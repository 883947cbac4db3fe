"""Light: every value by the same rule, without chance."""

from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.corruption.random_streams import ImageStreams

_WHITE: Final = 255


def contrast(images: Uint8Array, factor: float, streams: ImageStreams) -> Uint8Array:
    """Draw every value towards the mean of its channel in its image; `factor` of the distance is left."""
    del streams
    # A mean of whole numbers, summed exactly.
    mean = images.sum(axis=(2, 3), keepdims=True, dtype=np.int64) / (images.shape[2] * images.shape[3])
    kept = images * np.float32(factor)
    kept += ((1 - factor) * mean).astype(np.float32)
    rounded: Uint8Array = np.rint(kept, out=kept).astype(np.uint8)
    return rounded


def brightness(images: Uint8Array, share: float, streams: ImageStreams) -> Uint8Array:
    """Add a share of white to every value, and clip."""
    del streams
    levels = np.minimum(np.arange(_WHITE + 1) + round(share * _WHITE), _WHITE).astype(np.uint8)
    return levels[images]


def inversion(images: Uint8Array, share: float, streams: ImageStreams) -> Uint8Array:
    """Move every value by a share of the way to its inverse, 255 minus itself."""
    del streams
    levels = np.arange(_WHITE + 1)
    moved = np.rint(levels + share * (_WHITE - 2 * levels)).astype(np.uint8)
    return moved[images]
