"""Whether a model gives an answer: outputs that are not numbers or not probabilities have no most probable class.

NumPy's `argmax` of a row that holds NaN is the place of the first NaN: such a row would be called by that class.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Int64Array

BoolArray = npt.NDArray[np.bool_]

NO_ANSWER: Final = -1
"""Stands where the index of a class would."""
NO_ANSWER_TEXT: Final = "(no answer)"
SUM_TOLERANCE: Final = 0.01
"""How far from 1 the probabilities of an image may add up: a softmax in 16 bits is off by some thousandths."""
_SMALLEST: Final = -1e-6
_FEW: Final = 256
_ONES: Final = np.ones(4096, dtype=np.float32)


def all_answered(logits: Float32Array, probabilities: Float32Array) -> bool:
    """Return whether every image has an answer, see `answered`; 2 microseconds for one image of 10 classes."""
    # Scalar products are the quickest sums that NaN and infinities can't leave. A sum of squares of finite logits that
    # overflows, and probabilities that lie a little off, are looked at more closely.
    if logits.size == 0:
        return True
    if logits.size <= _FEW:
        return _few_answered(logits, probabilities)
    flat = logits.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        row_sums = probabilities @ _ones(probabilities.shape[1])
        row_sums -= 1
        sound = (
            math.isfinite(flat.dot(flat))
            and row_sums.dot(row_sums) <= SUM_TOLERANCE**2
            and probabilities.min() >= _SMALLEST
        )
    return bool(sound) or bool(answered(logits, probabilities).all())


def _few_answered(logits: Float32Array, probabilities: Float32Array) -> bool:
    # Beside a run of a small network NumPy's calls take 20 microseconds for one image, Python's own sums 2. A sum in
    # Python's 64 bits of numbers in 32 doesn't overflow.
    return math.isfinite(sum(logits.ravel().tolist())) and all(
        abs(sum(row) - 1) <= SUM_TOLERANCE and min(row) >= _SMALLEST for row in probabilities.tolist()
    )


def answered(logits: npt.NDArray[np.floating], probabilities: npt.NDArray[np.floating]) -> BoolArray:
    """Return for each image whether the outputs are an answer, [N].

    They are where all logits and probabilities are finite, no probability is below 0, and they add up to about 1.

    Args:
        logits: [N, K].
        probabilities: [N, K].
    """
    with np.errstate(over="ignore", invalid="ignore"):
        near_one = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1) <= SUM_TOLERANCE
    finite = np.isfinite(logits).all(axis=1) & np.isfinite(probabilities).all(axis=1)
    found: BoolArray = finite & near_one & (probabilities >= _SMALLEST).all(axis=1)
    return found


def decide(logits: npt.NDArray[np.floating], probabilities: npt.NDArray[np.floating] | None = None) -> Int64Array:
    """Return the class of the largest logit of each image, int64 [N]: the first of equals, `NO_ANSWER` where none is.

    Args:
        logits: [N, K].
        probabilities: [N, K]; without them the logits alone must be finite.
    """
    given = np.isfinite(logits).all(axis=1) if probabilities is None else answered(logits, probabilities)
    decisions: Int64Array = np.where(given, np.argmax(logits, axis=1), NO_ANSWER)
    return decisions


def _ones(count: int) -> Float32Array:
    return _ONES[:count] if count <= len(_ONES) else np.ones(count, dtype=np.float32)
