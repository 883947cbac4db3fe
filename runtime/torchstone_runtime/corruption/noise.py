"""Noise: every value of every channel has its own.

A value's random number is the same at every severity: a higher severity is more of the same noise.
"""

from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.corruption.random_streams import ImageStreams, Uint16Array

_LEVELS: Final = 1 << 16
_WHITE: Final = 255


def gaussian_noise(images: Uint8Array, deviation: float, streams: ImageStreams) -> Uint8Array:
    """Add normal noise of a standard deviation, in shares of white, and clip."""
    noise = (_normal_quantiles() * np.float32(deviation * _WHITE))[_a_value_each(images, streams)]
    noise += images
    np.rint(noise, out=noise)
    return np.clip(noise, 0, _WHITE, out=noise).astype(np.uint8)


def shot_noise(images: Uint8Array, photons: float, streams: ImageStreams) -> Uint8Array:
    """Count photons: a value is drawn from the Poisson distribution whose mean is `photons` at white, and clipped."""
    return _photon_values(photons)[images, _a_value_each(images, streams)]


def impulse_noise(images: Uint8Array, share: float, streams: ImageStreams) -> Uint8Array:
    """Replace a share of the values, one half of them by black and the other by white."""
    numbers = _a_value_each(images, streams)
    replaced = numbers < round(share * _LEVELS)
    extremes = (numbers & 1).astype(np.uint8) * np.uint8(_WHITE)
    return np.where(replaced, extremes, images)


def _a_value_each(images: Uint8Array, streams: ImageStreams) -> Uint16Array:
    return streams.whole(int(np.prod(images.shape[1:]))).reshape(images.shape)


@lru_cache(maxsize=1)
def _normal_quantiles() -> npt.NDArray[np.float32]:
    """Return the standard normal quantiles at the middles of 65536 equal parts: from -4.3 to 4.3, variance 1."""
    half = np.array([NormalDist().inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS // 2)])
    values = np.concatenate([half, -half[::-1]])
    scaled: npt.NDArray[np.float32] = (values / np.sqrt(np.mean(values * values))).astype(np.float32)
    return scaled


@lru_cache(maxsize=1)
def _photon_values(photons: float) -> Uint8Array:
    """Return Poisson's quantile function as values seen, for each level and uniform number: uint8 [256, 65536]."""
    largest = int(photons + 12 * np.sqrt(photons) + 30)
    counts = np.arange(largest + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])
    seen = np.minimum(np.rint(counts * (_WHITE / photons)), _WHITE).astype(np.uint8)
    table = np.zeros((_WHITE + 1, _LEVELS), dtype=np.uint8)
    for level in range(1, _WHITE + 1):
        mean = photons * level / _WHITE
        cumulated = np.cumsum(np.exp(counts * np.log(mean) - mean - log_factorials))
        # Number i stands for the middle of its part, (i + 1/2) / 65536.
        ends = np.clip(np.ceil(cumulated * _LEVELS - 0.5), 0, _LEVELS).astype(np.int64)
        ends[-1] = _LEVELS
        table[level] = np.repeat(seen, np.diff(ends, prepend=0))
    return table
