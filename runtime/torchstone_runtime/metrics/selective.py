"""Answering only where the model is sure: how much can be answered at a required precision, and how well the rest.

Samples are answered from the most confident down, as in selective classification (R. El-Yaniv and Y. Wiener, JMLR 11,
2010). Samples of equal confidence are answered together, since no threshold could part them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.metrics.binomial import Interval, share_interval
from torchstone_runtime.metrics.chosen_threshold import chosen_precision_interval, coverage_interval

REQUIRED_PRECISIONS: Final = (0.95, 0.98, 0.99, 0.995)
COVERAGES: Final = (0.99, 0.95, 0.9, 0.8)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What answering at or above a confidence gives.

    Attributes:
        threshold: least confidence (0 to 1) that is answered; None where nothing can be.
        coverage: share of samples that are answered.
        precision: share of the answered ones that are right; `interval` is that of the precision that the threshold
            has on other samples: wider where the precision itself chose it.
    """

    threshold: float | None
    coverage: float
    precision: float
    interval: Interval

    def to_json(self) -> dict[str, Any]:
        """Return the point as JSON data."""
        return {
            "threshold": self.threshold,
            "coverage": self.coverage,
            "precision": self.precision,
            "precision_interval_95": list(self.interval),
        }


_NOTHING: Final = OperatingPoint(None, 0.0, 0.0, (0.0, 1.0))


class SelectiveCurve:
    """Precision against coverage.

    Args:
        confidence: [N], probability of the predicted class.
        right: [N], whether it is the true class.
    """

    def __init__(self, confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> None:
        order = np.argsort(-confidence, kind="stable")
        ordered = confidence[order].astype(np.float64)
        last_of_equals = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]
        self._total = len(ordered)
        self._answered = np.flatnonzero(last_of_equals) + 1
        self._wrong = np.cumsum(~right[order]).astype(np.int64)
        self._right = self._answered - self._wrong[self._answered - 1]
        self._thresholds = ordered[self._answered - 1]

    def at_precision(self, required: float) -> OperatingPoint:
        """Return the point of largest coverage whose precision is at least `required`.

        The threshold is chosen on the very samples that judge it: on others the precision will be a little lower.
        """
        enough = np.flatnonzero(self._right >= required * self._answered)
        return self._point(int(enough[-1]), chosen_precision_interval) if len(enough) else _NOTHING

    def at_coverage(self, coverage: float) -> OperatingPoint:
        """Return the point of least coverage that answers at least that share of the samples."""
        enough = np.flatnonzero(self._answered >= coverage * self._total)
        return self._point(int(enough[0]), share_interval) if len(enough) else _NOTHING

    def coverage_interval(self, required: float) -> Interval:
        """Return the 95% interval of the largest coverage with that precision; see `selection.coverage_interval`."""
        return coverage_interval(self._wrong, self._answered, required)

    def to_json(self) -> dict[str, Any]:
        """Return the points of `REQUIRED_PRECISIONS` and `COVERAGES` as JSON data."""
        return {
            "at_precision": {
                str(value): self.at_precision(value).to_json()
                | {"coverage_interval_95": list(self.coverage_interval(value))}
                for value in REQUIRED_PRECISIONS
            },
            "at_coverage": {str(value): self.at_coverage(value).to_json() for value in COVERAGES},
        }

    def _point(self, index: int, interval_of: Callable[[int, int], Interval]) -> OperatingPoint:
        answered, right = int(self._answered[index]), int(self._right[index])
        share = right / answered
        interval = interval_of(right, answered)
        return OperatingPoint(float(self._thresholds[index]), answered / self._total, share, interval)
