"""How a model behaves on one set of pictures: how often it is right, and what its confidence is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from torchstone_runtime.metrics.calibration import reliability
from torchstone_runtime.metrics.selective import SelectiveCurve

LEVELS: Final = (0.95, 0.99)
"""The shares at which abstention is measured: of the images that are answered, and of the answers that are right."""


@dataclass(frozen=True, slots=True)
class SummaryMetrics:
    """Figures over one set of pictures, or their means over several.

    Attributes:
        accuracy: share of the samples that are right.
        calibration_error: the expected calibration error, see `reliability`.
        accuracy_at: accuracy of the share of the images with the highest confidence, by that share, of `LEVELS`.
        coverage_at: largest share of the images that can be answered with an accuracy, by that accuracy, of `LEVELS`.
    """

    accuracy: float
    calibration_error: float
    accuracy_at: Mapping[float, float]
    coverage_at: Mapping[float, float]

    @classmethod
    def of(cls, confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> Self:
        """Measure decisions.

        Args:
            confidence: [N], probability of the predicted class.
            right: [N], whether it is the true one.
        """
        curve = SelectiveCurve(confidence, right)
        return cls(
            accuracy=float(right.mean()),
            calibration_error=reliability(confidence, right).error,
            accuracy_at={level: curve.at_coverage(level).precision for level in LEVELS},
            coverage_at={level: curve.at_precision(level).coverage for level in LEVELS},
        )

    @classmethod
    def mean(cls, several: Sequence["SummaryMetrics"]) -> Self:
        """Return the mean of each figure, over at least one."""
        count = len(several)
        return cls(
            accuracy=sum(item.accuracy for item in several) / count,
            calibration_error=sum(item.calibration_error for item in several) / count,
            accuracy_at={level: sum(item.accuracy_at[level] for item in several) / count for level in LEVELS},
            coverage_at={level: sum(item.coverage_at[level] for item in several) / count for level in LEVELS},
        )

    def figures(self) -> dict[str, float]:
        """Return every figure by its name for people."""
        return {
            "accuracy": self.accuracy,
            "calibration error": self.calibration_error,
            **{f"accuracy at {level:.0%} coverage": value for level, value in self.accuracy_at.items()},
            **{f"coverage at {level:.0%} accuracy": value for level, value in self.coverage_at.items()},
        }

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return {
            "accuracy": self.accuracy,
            "calibration_error": self.calibration_error,
            "accuracy_at_coverage": {str(level): value for level, value in self.accuracy_at.items()},
            "coverage_at_accuracy": {str(level): value for level, value in self.coverage_at.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            data["accuracy"],
            data["calibration_error"],
            {level: data["accuracy_at_coverage"][str(level)] for level in LEVELS},
            {level: data["coverage_at_accuracy"][str(level)] for level in LEVELS},
        )
