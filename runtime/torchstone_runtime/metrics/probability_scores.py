"""What probabilities are worth: log loss, Brier score and top-k accuracy, each with its 95% interval."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.metrics.binomial import Interval, share_interval
from torchstone_runtime.metrics.bounded_mean import bounded_mean_interval

TOP_K: Final = (2, 3, 5)
_SMALLEST_PROBABILITY: Final = float(np.finfo(np.float32).eps)
"""Below it a probability counts as this much, as in scikit-learn's `log_loss`: one 0 would make the mean infinite."""

_LARGEST_LOG_LOSS: Final = -float(np.log(_SMALLEST_PROBABILITY))
_LARGEST_BRIER: Final = 2.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95% interval; None where no honest one is known."""

    value: float
    interval: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Return the figure as JSON data."""
        return {"value": self.value, "interval_95": self.interval and list(self.interval)}


@dataclass(frozen=True, slots=True)
class ProbabilityScores:
    """Scores over all samples.

    Attributes:
        log_loss: mean of -ln p(true class); 0 is best, 15.94 the most. Interval: see `bounded_mean`.
        brier: mean over the samples of the sum over the classes of (p - [true class])**2, 0 (best) to 2 (G. W. Brier,
            Monthly Weather Review 78, 1950). Interval: likewise.
        top_k: share of the samples whose true class is among the k most probable, by each k of `TOP_K` below K.
            Interval: Clopper-Pearson.
    """

    log_loss: Estimate
    brier: Estimate
    top_k: dict[int, Estimate]

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON data."""
        return {
            "log_loss": self.log_loss.to_json(),
            "brier": self.brier.to_json(),
            "top_k": {str(k): item.to_json() for k, item in self.top_k.items()},
        }


class ScoreTally:
    """Takes in batches and keeps four numbers per sample.

    Args:
        count: N, samples in all.
    """

    def __init__(self, count: int) -> None:
        self._filled = 0
        self._classes = 0
        self._log_loss = np.zeros(count, dtype=np.float64)
        self._brier = np.zeros(count, dtype=np.float64)
        self._rank = np.zeros(count, dtype=np.int64)

    def add(
        self,
        logits: Float32Array,
        probabilities: Float32Array,
        labels: Int64Array,
        answered: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Add the next n samples.

        Args:
            logits: float32 [n, K], by which the classes are ranked (several probabilities may round to one number).
            probabilities: float32 [n, K], rows that sum to 1.
            labels: int64 [n], 0 to K-1.
            answered: bool [n], whether the outputs are an answer; all are if None. A sample without one counts as if
                every class had the probability 0, and its true class came last.
        """
        if answered is not None:
            probabilities = np.where(answered[:, np.newaxis], probabilities, np.float32(0))
        rows, part = np.arange(len(labels)), slice(self._filled, self._filled + len(labels))
        exact = probabilities.astype(np.float64)
        true = exact[rows, labels]
        self._log_loss[part] = -np.log(np.clip(true, _SMALLEST_PROBABILITY, 1))
        self._brier[part] = (exact * exact).sum(axis=1) - 2 * true + 1
        self._rank[part] = ranks(logits, labels)
        if answered is not None:
            self._rank[part][~answered] = logits.shape[1]
        self._filled, self._classes = part.stop, logits.shape[1]

    def scores(self) -> ProbabilityScores:
        """Return the scores of all samples added so far."""
        filled = slice(0, self._filled)
        top_k = {k: _share(self._rank[filled] < k) for k in TOP_K if k < self._classes}
        log_loss = _mean(self._log_loss[filled], _LARGEST_LOG_LOSS)
        return ProbabilityScores(log_loss, _mean(self._brier[filled], _LARGEST_BRIER), top_k)


def ranks(logits: Float32Array, labels: Int64Array) -> Int64Array:
    """Return the place of each sample's true class, 0 for the first, int64 [n]; of equal logits the first one wins."""
    rows = np.arange(len(labels))
    true = logits[rows, labels][:, np.newaxis]
    earlier = np.arange(logits.shape[1]) < labels[:, np.newaxis]
    found: Int64Array = ((logits > true) | ((logits == true) & earlier)).sum(axis=1)
    return found


def _mean(values: Float64Array, largest: float) -> Estimate:
    if not len(values):
        return Estimate(0.0, (0.0, largest))
    return Estimate(float(values.mean()), bounded_mean_interval(values, np.ones(len(values)), 0.0, largest))


def _share(hits: npt.NDArray[np.bool_]) -> Estimate:
    count, total = int(hits.sum()), len(hits)
    return Estimate(count / total if total else 0.0, share_interval(count, total))
