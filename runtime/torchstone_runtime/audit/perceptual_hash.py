"""Perceptual hashes: 64 bits that a picture keeps when it is compressed anew, resized, lit otherwise or slightly cut.

The bits are the signs of the 64 lowest frequencies of the discrete cosine transform (type II) of the picture made gray
and 32 x 32, without the constant one, in the order of their sum; C. Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010, has such a hash with the median in the place of zero. With zero, brightness and
contrast change no bit, and the mirrored picture's hash follows from the picture's own: it has the signs of the odd
horizontal frequencies reversed.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Uint8Array

SIDE: Final = 32
"""Height and width, in pixels, of what a hash is made of."""
BITS: Final = 64
_BLOCK: Final = 4096
ROWS: Final = 64
"""Pictures that `close_pairs` compares with all that follow."""
_COLUMNS: Final = 1 << 14
"""As many of those at once: 64 x 16,384 distances stay in a processor's cache."""

HashArray = npt.NDArray[np.uint64]


def _cosine_matrix(rows: int) -> Float64Array:
    frequency, place = np.arange(rows)[:, None], np.arange(SIDE)[None]
    return np.cos(np.pi * (2 * place + 1) * frequency / (2 * SIDE))


_FREQUENCIES: Final = sorted(
    ((down, across) for down in range(11) for across in range(11) if down + across), key=lambda pair: (sum(pair), pair)
)[:BITS]
_DOWN, _ACROSS = (np.array(values) for values in zip(*_FREQUENCIES, strict=True))
_COSINES: Final = _cosine_matrix(int(max(_DOWN.max(), _ACROSS.max())) + 1)
_MIRROR: Final = np.packbits(_ACROSS % 2 == 1).view(np.uint64)[0]


def perceptual_hashes(gray: Uint8Array) -> HashArray:
    """Return the hash of each picture, uint64 [N].

    Args:
        gray: gray pictures of 32 x 32 pixels, uint8 [N, 32, 32].
    """
    hashes = np.empty(len(gray), dtype=np.uint64)
    for start in range(0, len(gray), _BLOCK):
        block = gray[start : start + _BLOCK].astype(np.float64)
        transformed = _COSINES @ (block - block.mean(axis=(1, 2), keepdims=True)) @ _COSINES.T
        bits = np.packbits(transformed[:, _DOWN, _ACROSS] > 0, axis=1)
        hashes[start : start + _BLOCK] = np.ascontiguousarray(bits).view(np.uint64)[:, 0]
    return hashes


def mirrored(hashes: HashArray) -> HashArray:
    """Return the hashes of the same pictures mirrored left to right."""
    turned: HashArray = hashes ^ _MIRROR
    return turned


def close_pairs(hashes: HashArray, start: int, radius: int) -> npt.NDArray[np.int64]:
    """Compare the pictures of one block of rows with all that follow them.

    Args:
        hashes: hashes of all pictures, uint64 [N].
        start: first row of the block, of `ROWS` pictures.
        radius: largest Hamming distance that is close, 0 to 64.

    Returns:
        A row a pair, int64 [M, 3]: index of the first and the second picture (the first is the smaller one), and 1
        where the second is close to the first mirrored, else 0.
    """
    own = hashes[start : start + ROWS]
    found = []
    for turned, rows in enumerate((own, mirrored(own))):
        for first in range(start, len(hashes), _COLUMNS):
            distance = np.bitwise_count(rows[:, None] ^ hashes[None, first : first + _COLUMNS])
            row, column = np.nonzero(distance <= radius)
            row, column = row + start, column + first
            later = column > row
            found.append(np.stack([row[later], column[later], np.full(later.sum(), turned)], axis=1))
    return np.concatenate(found).astype(np.int64)
