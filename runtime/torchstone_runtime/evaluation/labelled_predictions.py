"""What a model decides of labelled samples: measured now, or read from a predictions file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.metrics.answered import NO_ANSWER, NO_ANSWER_TEXT
from torchstone_runtime.metrics.calibration import Reliability, reliability
from torchstone_runtime.metrics.classification import Metrics, metrics_from_labels
from torchstone_runtime.text import shortlist


@dataclass(frozen=True, eq=False)
class LabelledPredictions:
    """The predictions for N labelled samples: a few bytes per sample, and no pixels.

    Attributes:
        ids: identifiers of the samples.
        class_names: names of the K classes, in the order of the labels.
        labels: true class of each sample, int64 [N].
        predicted: predicted class of each sample, int64 [N]; `NO_ANSWER` for one that has none.
        confidence: probability (0 to 1) of each predicted class, [N]; 0 for a sample without an answer, which whoever
            answers only where the model is sure therefore answers last.
        split: split with the same samples in the same order, from which pictures are read; None where there are none.
        complete: whether `class_names` are the model's, in its order; else they are those that occur, by name.
    """

    ids: Sequence[str]
    class_names: tuple[str, ...]
    labels: Int64Array
    predicted: Int64Array
    confidence: Float32Array | Float64Array
    split: Split | None = field(default=None, kw_only=True)
    complete: bool = field(default=True, kw_only=True)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, split: Split, predicted: Int64Array, confidence: Float32Array | Float64Array) -> "LabelledPredictions":
        """Return the predictions for a split whose classes are named as the model's are."""
        return LabelledPredictions(split.ids, split.class_names, split.labels, predicted, confidence, split=split)

    @cached_property
    def metrics(self) -> Metrics:
        """Everything that follows from the confusion matrix."""
        return metrics_from_labels(self.labels, self.predicted, self.class_names)

    @property
    def reliability(self) -> Reliability:
        """Agreement of the confidence with the accuracy."""
        return reliability(self.confidence, self.right())

    @property
    def unanswered_ids(self) -> list[str]:
        """Ids of the samples for which the model gives no answer, which count as wrong."""
        return [self.ids[index] for index in np.flatnonzero(self.predicted == NO_ANSWER).tolist()]

    def predicted_name(self, index: int) -> str:
        """Return the name of the class predicted for the sample at an index, or that there is no answer."""
        predicted = int(self.predicted[index])
        return NO_ANSWER_TEXT if predicted == NO_ANSWER else self.class_names[predicted]

    def right(self) -> npt.NDArray[np.bool_]:
        """Return for each sample whether the predicted class is the true one, [N]."""
        right: npt.NDArray[np.bool_] = self.predicted == self.labels
        return right

    def wrong(self) -> Int64Array:
        """Return the indices of the samples that are not their predicted class, the most confident first."""
        indices = np.flatnonzero(~self.right())
        return indices[np.argsort(-self.confidence[indices], kind="stable")]

    def pictures(self, indices: Int64Array) -> Uint8Array:
        """Return the images at `indices`, in that order, as uint8 of shape (n, C, H, W).

        Raises:
            ImageError: a picture can no longer be read.
            ValueError: there is no split.
        """
        if self.split is None:
            raise ValueError("predictions without a split have no pictures")
        return self.split.store.read(indices)

    def with_classes(self, class_names: tuple[str, ...]) -> Self:
        """Return the same predictions with other indices: of names that hold all of these."""
        position = {name: index for index, name in enumerate(class_names)}
        # The last place is that of no answer, -1.
        places = np.array([*(position[name] for name in self.class_names), NO_ANSWER], dtype=np.int64)
        return replace(self, class_names=class_names, labels=places[self.labels], predicted=places[self.predicted])

    def in_order_of(self, other: "LabelledPredictions", name: str, other_name: str) -> Self:
        """Return these predictions in the order of another's samples.

        Raises:
            DataError: other classes, samples, or true classes.
        """
        if self.class_names != other.class_names:
            raise DataError(
                f"{name} and {other_name} don't have the same classes.",
                f"{name}: {shortlist(self.class_names)}.\n{other_name}: {shortlist(other.class_names)}.",
            )
        order = self._order_of(other, name, other_name)
        if not np.array_equal(self.labels[order], other.labels):
            raise DataError(
                f"{name} and {other_name} state different true classes for the same samples.",
                "Measure both on the same labels.",
            )
        predicted, confidence = self.predicted[order], self.confidence[order]
        return replace(
            self, ids=other.ids, labels=other.labels, predicted=predicted, confidence=confidence, split=other.split
        )

    def _order_of(self, other: "LabelledPredictions", name: str, other_name: str) -> Int64Array:
        if list(self.ids) == list(other.ids):
            return np.arange(len(self), dtype=np.int64)
        position = {sample: index for index, sample in enumerate(self.ids)}
        missing = [sample for sample in other.ids if sample not in position]
        if missing or len(position) != len(other):
            raise DataError(
                f"{name} and {other_name} don't hold the same samples: {len(self):,} and {len(other):,}"
                + (f"; {missing[0]} is only in {other_name}." if missing else "."),
                "Measure both on the same split of the same data.",
            )
        return np.array([position[sample] for sample in other.ids], dtype=np.int64)


def with_shared_classes(
    first: LabelledPredictions, second: LabelledPredictions
) -> tuple[LabelledPredictions, LabelledPredictions]:
    """Return both with the same classes where a file that holds only those that occur allows it; else as they are."""
    if first.complete and second.complete:
        return first, second
    names = first.class_names if first.complete else second.class_names
    if not (first.complete or second.complete):
        names = tuple(sorted({*first.class_names, *second.class_names}))
    if not {*first.class_names, *second.class_names} <= set(names):
        return first, second
    return first.with_classes(names), second.with_classes(names)
