"""Two models on the same labelled samples: which decides better, where do they differ, and is that more than chance?"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.html_table import html_sentence, html_table, more_rows
from torchstone_runtime.metrics.answered import NO_ANSWER, NO_ANSWER_TEXT
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.metrics.paired import PairedComparison, compare_decisions, confusion_difference

SIGNIFICANCE: Final = 0.05
_ROWS_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: how it is called, what it is, and what it decided.

    Attributes:
        name: `A` or `B`.
        what: the path with variant and provider, or the predictions file.
        predictions: predictions of this side, in the same order of samples as the other side's.
    """

    name: str
    what: str
    predictions: LabelledPredictions


@dataclass(frozen=True, eq=False)
class Comparison:
    """B against A.

    Attributes:
        speed: median of A's time divided by B's, above 1 where B is faster; None where it wasn't measured.
    """

    a: Side
    b: Side
    speed: TimeEstimate | None = None

    @cached_property
    def paired(self) -> PairedComparison:
        """Accuracy of B minus that of A, with its interval and McNemar's test."""
        return compare_decisions(self.a.predictions.labels, self.a.predictions.predicted, self.b.predictions.predicted)

    @cached_property
    def metrics(self) -> tuple[Metrics, Metrics]:
        """Of A and of B."""
        return self.a.predictions.metrics, self.b.predictions.metrics

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many samples both get right, one alone, or neither, the latter in the same way or in two."""
        labels, first, second = self.a.predictions.labels, self.a.predictions.predicted, self.b.predictions.predicted
        neither = (first != labels) & (second != labels)
        return {
            "both_right": int(((first == labels) & (second == labels)).sum()),
            "only_a_right": self.paired.lost,
            "only_b_right": self.paired.gained,
            "both_wrong_alike": int((neither & (first == second)).sum()),
            "both_wrong_differently": int((neither & (first != second)).sum()),
        }

    @cached_property
    def differing(self) -> Int64Array:
        """Samples on which the two choose different classes: lost ones first, then gained, then both wrong.

        Among each of these, the one of which A was surest comes first.
        """
        predictions, other = self.a.predictions, self.b.predictions
        found = np.flatnonzero(predictions.predicted != other.predicted)
        lost = predictions.predicted[found] == predictions.labels[found]
        gained = other.predicted[found] == predictions.labels[found]
        kind = np.where(lost, 0, np.where(gained, 1, 2))
        return found[np.lexsort((-predictions.confidence[found], kind))]

    @property
    def verdict(self) -> str:
        """What the data show, in a sentence."""
        paired, (low, high) = self.paired, self.paired.interval_95
        if paired.agreeing == paired.samples:
            return f"No difference: A and B decide all {paired.samples:,} samples alike."
        evidence = (
            f"B minus A is {paired.difference:+.4f}, 95% interval {low:+.4f} to {high:+.4f}; "
            f"exact McNemar p = {paired.p_value:.3g}."
        )
        if paired.p_value >= SIGNIFICANCE:
            return f"No difference shown: {evidence}"
        better, worse = ("B", "A") if paired.difference > 0 else ("A", "B")
        return f"{better} is more accurate than {worse}: {evidence}"

    def changes(self) -> list[dict[str, Any]]:
        """Return how B's confusion matrix differs from A's; see `paired.confusion_difference`."""
        predictions = self.a.predictions
        return confusion_difference(
            predictions.labels,
            predictions.predicted,
            self.b.predictions.predicted,
            predictions.class_names,
            predictions.ids,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON data, with every sample on which the two differ."""
        first, second = self.metrics
        return {
            "a": {"what": self.a.what, "metrics": first.to_json()},
            "b": {"what": self.b.what, "metrics": second.to_json()},
            "verdict": self.verdict,
            "paired": self.paired.to_json(),
            "counts": self.counts,
            "confusion_difference": self.changes(),
            "unanswered": {"a": self.a.predictions.unanswered_ids, "b": self.b.predictions.unanswered_ids},
            "speed_ratio": self.speed.to_json() if self.speed else None,
            "differing": [self.sample(int(index)) for index in self.differing],
        }

    def sample(self, index: int) -> dict[str, Any]:
        """Return what both make of one sample; class and probability are None where there is no answer."""
        predictions, other = self.a.predictions, self.b.predictions
        names = predictions.class_names
        return {
            "id": predictions.ids[index],
            "true": names[predictions.labels[index]],
            **_decision("a", predictions, index),
            **_decision("b", other, index),
        }

    def __repr__(self) -> str:
        return f"Comparison({self.a.what!r}, {self.b.what!r}: {self.verdict})"

    def _repr_html_(self) -> str:
        sides = [
            (f"{side.name}: {side.what}", found.accuracy, found.macro.f1)
            for side, found in zip((self.a, self.b), self.metrics, strict=True)
        ]
        shown = map(self.sample, self.differing[:_ROWS_SHOWN].tolist())
        rows = [(item["id"], item["true"], *(item[side] or NO_ANSWER_TEXT for side in ("a", "b"))) for item in shown]
        differing = html_table(("decided differently", "true class", "A", "B"), rows) if rows else ""
        more = more_rows(len(self.differing), _ROWS_SHOWN, "images")
        return html_sentence(self.verdict) + html_table(("", "accuracy", "macro F1"), sides) + differing + more


def _decision(side: str, predictions: LabelledPredictions, index: int) -> dict[str, Any]:
    predicted = int(predictions.predicted[index])
    if predicted == NO_ANSWER:
        return {side: None, f"{side}_probability": None}
    return {side: predictions.class_names[predicted], f"{side}_probability": float(predictions.confidence[index])}
