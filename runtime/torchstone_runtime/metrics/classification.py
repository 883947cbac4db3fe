"""Classification metrics, from labels or from a confusion matrix.

Macro averages run over the classes that occur: those that are the true class of a sample, or were predicted for one. A
class that occurs in neither way is absent: its precision, recall and F1 are NaN (null in JSON), and no average counts
it. For a class that occurs, a ratio whose denominator is zero counts as 0: the recall of a class without samples that
was predicted nevertheless, the precision of one that was never predicted. This is scikit-learn's
`precision_recall_fscore_support(zero_division=0)`, whose classes are those of the true and of the predicted labels; the
balanced accuracy is its `balanced_accuracy_score`, over the classes that have samples. The tests compare with both.

A sample without an answer counts as wrong: it is part of its class's support, and no class is predicted for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.binomial import share_interval
from torchstone_runtime.metrics.confusion import ConfusionCells

Z_95: Final = 1.959963984540054
"""Two-sided 95% quantile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Precision, recall and F1 (each 0 to 1; NaN where it is absent) of one class, and its number of true samples."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class Average:
    """Mean over the classes that occur of precision, recall and F1, each 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class Metrics:
    """What a confusion matrix says of a classifier.

    Attributes:
        cells: the filled cells of the confusion matrix.
        accuracy: share of samples on the diagonal.
        accuracy_interval: 95% Clopper-Pearson interval of the accuracy.
        per_class: metrics of each class, in the order of the labels.
        macro: unweighted mean over the classes that occur.
        weighted: mean over the classes weighted with their support.
        unanswered: samples of each true class for which the model gives no answer, beside those of the matrix; empty
            where it answers all.
    """

    cells: ConfusionCells
    accuracy: float
    accuracy_interval: tuple[float, float]
    per_class: tuple[ClassMetrics, ...]
    macro: Average
    weighted: Average
    unanswered: tuple[int, ...] = ()

    @cached_property
    def confusion(self) -> Int64Array:
        """The confusion matrix, int64 [K, K]: rows are true classes. Of many classes it is large; `cells` is not."""
        return self.cells.matrix()

    @cached_property
    def total(self) -> int:
        """Number of samples, those without an answer included."""
        return int(self.cells.count.sum()) + sum(self.unanswered)

    @property
    def correct(self) -> int:
        """Number of samples on the diagonal."""
        return int(self.cells.hits.sum())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the labels."""
        return tuple(item.name for item in self.per_class)

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that no sample has and none was given: they are part of no average."""
        return tuple(item.name for item in self.per_class if math.isnan(item.f1))

    @property
    def without_samples(self) -> tuple[str, ...]:
        """Classes of which there is no sample, predicted or not."""
        return tuple(item.name for item in self.per_class if not item.support)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have samples, 0 to 1; 0 without any sample."""
        recalls = [item.recall for item in self.per_class if item.support]
        return float(np.mean(recalls)) if recalls else 0.0

    def most_confused(self, count: int) -> list[tuple[str, str, int]]:
        """Return up to `count` cells off the diagonal as (true class, predicted class, samples), largest first."""
        found, names = self.cells.confusions(), self.class_names
        places = zip(found.true[:count].tolist(), found.predicted[:count].tolist(), strict=True)
        return [
            (names[true], names[predicted], samples)
            for (true, predicted), samples in zip(places, found.count[:count].tolist(), strict=True)
        ]

    def lowest_f1(self, count: int) -> list[ClassMetrics]:
        """Return up to `count` classes that occur, the lowest F1 first; of equal ones that with more samples."""
        occurring = [item for item in self.per_class if not math.isnan(item.f1)]
        return sorted(occurring, key=lambda item: (item.f1, -item.support))[:count]

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as JSON data."""
        return {
            "samples": self.total,
            "correct": self.correct,
            "accuracy": self.accuracy,
            "accuracy_interval_95": list(self.accuracy_interval),
            "balanced_accuracy": self.balanced_accuracy,
            "unanswered": sum(self.unanswered),
            "classes_without_samples": list(self.without_samples),
            "macro": _average_json(self.macro),
            "weighted": _average_json(self.weighted),
            "per_class": [
                {
                    "class": c.name,
                    "precision": _or_none(c.precision),
                    "recall": _or_none(c.recall),
                    "f1": _or_none(c.f1),
                    "support": c.support,
                }
                for c in self.per_class
            ],
            **self.cells.to_json(),
        }


def confusion_matrix(true: Int64Array, predicted: Int64Array, num_classes: int) -> Int64Array:
    """Count samples by true class (row) and predicted class (column).

    Args:
        true: int64 [N], 0 to num_classes - 1.
        predicted: int64 [N], 0 to num_classes - 1.
        num_classes: K.

    Returns:
        int64 [K, K].

    Raises:
        ValueError: different lengths, or a label out of range.
    """
    return ConfusionCells.of_labels(true, predicted, num_classes).matrix()


def metrics_from_labels(true: Int64Array, predicted: Int64Array, class_names: Sequence[str]) -> Metrics:
    """Derive all metrics from the true and the predicted classes.

    Args:
        true: int64 [N], 0 to K - 1.
        predicted: int64 [N], 0 to K - 1, or `NO_ANSWER`.
        class_names: K names.

    Raises:
        ValueError: different lengths, or a label out of range.
    """
    if true.shape != predicted.shape:
        raise ValueError(f"{len(true)} true labels but {len(predicted)} predictions")
    given = predicted != NO_ANSWER
    cells = ConfusionCells.of_labels(true[given], predicted[given], len(class_names))
    unanswered = () if given.all() else tuple(np.bincount(true[~given], minlength=len(class_names)).tolist())
    return metrics_from_confusion(cells, class_names, unanswered)


def metrics_from_confusion(
    confusion: Int64Array | ConfusionCells, class_names: Sequence[str], unanswered: tuple[int, ...] = ()
) -> Metrics:
    """Derive all metrics from a confusion matrix.

    Args:
        confusion: int64 [K, K] with true classes as rows, or its filled cells.
        class_names: K names.
        unanswered: further samples of each true class, which have no answer; none if empty.
    """
    cells = confusion if isinstance(confusion, ConfusionCells) else ConfusionCells.of_matrix(confusion)
    diagonal, predicted, support = cells.hits.astype(np.float64), cells.chosen, cells.support
    if unanswered:
        support = support + np.array(unanswered, dtype=np.int64)
    precision, recall = _ratio(diagonal, predicted), _ratio(diagonal, support)
    f1 = _ratio(2 * diagonal, predicted + support)
    total, correct = int(support.sum()), int(diagonal.sum())
    occurs = (predicted + support) > 0
    columns = (precision, recall, f1)
    macro = Average(*(float(column[occurs].mean()) if total else 0.0 for column in columns))
    weighted = Average(*(float((column * support).sum() / total) if total else 0.0 for column in columns))
    for column in columns:
        column[~occurs] = np.nan
    per_class = tuple(
        ClassMetrics(name, float(p), float(r), float(f), int(n))
        for name, p, r, f, n in zip(class_names, precision, recall, f1, support, strict=True)
    )
    accuracy = correct / total if total else 0.0
    return Metrics(cells, accuracy, share_interval(correct, total), per_class, macro, weighted, unanswered)


def figure_text(figure: float) -> str:
    """Return a figure with four decimals, or `-` where it is not defined (NaN)."""
    return "-" if math.isnan(figure) else f"{figure:.4f}"


def _ratio(numerator: Float64Array, denominator: npt.NDArray[Any]) -> Float64Array:
    out = np.zeros(len(numerator), dtype=np.float64)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out


def _or_none(figure: float) -> float | None:
    return None if math.isnan(figure) else figure


def _average_json(average: Average) -> dict[str, float]:
    return {"precision": average.precision, "recall": average.recall, "f1": average.f1}
