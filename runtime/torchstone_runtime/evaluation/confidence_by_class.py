"""Of which classes a model is sure: how the probability of the predicted class is spread over a class's images."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions

QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
EXPLAINED: Final = "Box: middle half of the images; line: 5% to 95% of them; mark: median; number: mean"


@dataclass(frozen=True, slots=True)
class ClassConfidence:
    """The confidence with which the images of one true class are decided, rightly or wrongly.

    Attributes:
        name: name of the class.
        count: number of its images, at least one.
        mean: mean of their confidence, 0 to 1.
        quantiles: quantiles of their confidence, 0 to 1, one for each share in `QUANTILES`.
    """

    name: str
    count: int
    mean: float
    quantiles: tuple[float, ...]

    def in_words(self) -> str:
        """Return the figures on one line."""
        low, _, median, _, high = self.quantiles
        return f"{self.name}: mean {self.mean:.1%}, median {median:.1%}, 5% to 95% of images {low:.1%} to {high:.1%}"


def by_class(seen: LabelledPredictions) -> list[ClassConfidence]:
    """Return the classes that have images, the one the model is least sure of (by the mean) first."""
    classes = []
    for label, name in enumerate(seen.class_names):
        values = seen.confidence[seen.labels == label].astype(np.float64)
        if len(values):
            quantiles = tuple(float(value) for value in np.quantile(values, QUANTILES))
            classes.append(ClassConfidence(name, len(values), float(values.mean()), quantiles))
    return sorted(classes, key=lambda item: item.mean)


def lowest_shown(classes: list[ClassConfidence]) -> float:
    """Return where an axis begins that shows every class's quantiles: a multiple of 10%, at most 90%."""
    lowest = min((item.quantiles[0] for item in classes), default=0.0)
    return max(0, min(9, int(lowest * 10))) / 10
