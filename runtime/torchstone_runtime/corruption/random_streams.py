"""Random numbers that belong to an image, not to a batch.

Each image has a stream of its own, whose key is hashed from the seed, the corruption's name and the image's index. The
streams are SplitMix64's (G. Steele, D. Lea, C. Flood, OOPSLA 2014), with the finaliser that they take from D. Stafford
(variant 13): whole-number arithmetic, so that they are the same on every machine and for every version of NumPy.
"""

import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

Uint16Array = npt.NDArray[np.uint16]
Uint64Array = npt.NDArray[np.uint64]

_MASK: Final = (1 << 64) - 1
_GAMMA: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_IN_A_WORD: Final = 4


class ImageStreams:
    """The random numbers of images `first` to `first + count - 1`.

    Args:
        seed: seed of all random numbers; its lowest 64 bits count.
        purpose: use of the numbers; another purpose gives other numbers.
        first: index of the first image.
        count: n, number of images.
    """

    def __init__(self, seed: int, purpose: str, first: int, count: int) -> None:
        salt = int(_mix(_counted(zlib.crc32(purpose.encode()), 1))[0])
        key = int(_mix(_counted((seed ^ salt) & _MASK, 1))[0])
        self._keys = _mix(_counted((key + first * _GAMMA) & _MASK, count))

    def whole(self, count: int) -> Uint16Array:
        """Return `count` whole numbers per image, uniform from 0 to 65535: uint16 [n, count].

        The first k of them are the same whatever `count` is.
        """
        words = -(-count // _IN_A_WORD)
        steps = _counted(0, words)
        found = _mix(self._keys[:, np.newaxis] + steps[np.newaxis, :])
        return found.astype("<u8", copy=False).view("<u2")[:, :count].astype(np.uint16, copy=False)


def _counted(start: int, count: int) -> Uint64Array:
    """Return start + GAMMA, start + 2 GAMMA, ..., modulo 2**64."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    return steps + np.array([start], dtype=np.uint64)


def _mix(values: Uint64Array) -> Uint64Array:
    mixed = (values ^ (values >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    found: Uint64Array = mixed ^ (mixed >> np.uint64(31))
    return found
