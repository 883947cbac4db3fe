"""How far a model's probabilities can be believed: is it right in 80% of the cases of which it is 80% sure?

Bins and error are those of Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
arXiv 1706.04599, section 2: with M bins of equal width, B_m holding the samples whose confidence lies above (m-1)/M
and up to m/M, the expected calibration error is the sum over m of |B_m|/n * |accuracy(B_m) - confidence(B_m)|.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.metrics.binomial import share_interval
from torchstone_runtime.text import counted

BINS: Final = 10
SOURCE: Final = "Guo et al. 2017, arXiv 1706.04599"
FORMULA: Final = "sum over the bins of (images in the bin / all images) times |accuracy minus mean confidence|"


@dataclass(frozen=True, eq=False, slots=True)
class Reliability:
    """Confidence against accuracy in `BINS` bins of equal width, of which an empty one has 0 everywhere.

    Attributes:
        counts: int64 [BINS], samples in each bin.
        accuracy: float64 [BINS], share of them that are right.
        confidence: float64 [BINS], their mean confidence.
    """

    counts: Int64Array
    accuracy: Float64Array
    confidence: Float64Array

    @property
    def error(self) -> float:
        """The expected calibration error, 0 (best) to 1."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(self.counts @ gaps / max(1, self.counts.sum()))

    def filled(self) -> list[int]:
        """Return the bins that hold samples."""
        return [int(index) for index in np.flatnonzero(self.counts)]

    def interval(self, index: int) -> tuple[float, float]:
        """Return the 95% Clopper-Pearson interval of a filled bin's accuracy."""
        count = int(self.counts[index])
        return share_interval(round(float(self.accuracy[index]) * count), count)

    def to_json(self) -> dict[str, Any]:
        """Return the error, and every bin with its bounds."""
        return {
            "expected_calibration_error": self.error,
            "bins": [
                {
                    "above": index / BINS,
                    "up_to": (index + 1) / BINS,
                    "samples": int(self.counts[index]),
                    "accuracy": float(self.accuracy[index]) if self.counts[index] else None,
                    "mean_confidence": float(self.confidence[index]) if self.counts[index] else None,
                }
                for index in range(BINS)
            ],
        }

    def in_words(self) -> str:
        """Return what the diagram shows, for who can't see it."""
        bins = [
            f"{counted(int(self.counts[index]), 'image')} at {index * 10} to {(index + 1) * 10}%: "
            f"{self.accuracy[index]:.1%} right, {self.confidence[index]:.1%} sure"
            for index in self.filled()
        ]
        return f"Reliability diagram: expected calibration error {self.error:.4f}. {'; '.join(bins)}."


def reliability(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> Reliability:
    """Put samples into bins by the probability (0 to 1) of their predicted class.

    Args:
        confidence: [N]; a rounding error above 1 counts into the last bin.
        right: [N], whether the predicted class is the true one.
    """
    sure = confidence.astype(np.float64)
    bins = np.searchsorted(np.arange(1, BINS) / BINS, sure, side="left")  # a boundary belongs to the bin below
    counts = np.bincount(bins, minlength=BINS).astype(np.int64)
    samples = np.maximum(counts, 1)
    accuracy = np.bincount(bins, weights=right, minlength=BINS) / samples
    return Reliability(counts, accuracy, np.bincount(bins, weights=sure, minlength=BINS) / samples)
