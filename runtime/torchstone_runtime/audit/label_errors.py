"""Likely label errors: pictures of which a model is sure that they are of another class than their label says.

Confident learning: C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels", 2021 (arXiv 1911.00068). The probabilities have to come from models that did not see the picture in training.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array

_MOST: Final = 10
"""Classes of a picture that are kept, the most probable ones: memory does not grow with the number of classes."""
_LEAST: Final = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class Confidences:
    """What a model says of N labelled pictures, as far as confident learning needs it.

    Attributes:
        labels: class of each picture, int64 [N].
        own: probability of that class, [N]; NaN for a picture without an answer.
        classes: the R most probable classes, int64 [N, R]; -1 where there are fewer.
        probabilities: their probabilities, [N, R].
    """

    labels: Int64Array
    own: Float64Array
    classes: Int64Array
    probabilities: Float64Array

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, labels: Int64Array, probabilities: Float64Array) -> Self:
        """Keep what is needed of the probabilities of K classes, [N, K]; NaN in the row of one without an answer."""
        kept = min(_MOST, probabilities.shape[1])
        filled = np.nan_to_num(probabilities.astype(np.float64), nan=-1.0)
        classes = np.argsort(-filled, axis=1, kind="stable")[:, :kept]
        own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        return cls(labels, own, classes.astype(np.int64), np.take_along_axis(filled, classes, axis=1))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return those of several batches as one."""
        fields = ("labels", "own", "classes", "probabilities")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in fields))


@dataclass(frozen=True, slots=True)
class LabelError:
    """A picture whose label is likely wrong.

    Attributes:
        index: index of the picture.
        label: index of the class that it is labelled with.
        likely: index of the class that it likely is of.
        probability: probability that the model gives to its label, 0 to 1.
        likely_probability: probability of the likely class, 0 to 1.
    """

    index: int
    label: int
    likely: int
    probability: float
    likely_probability: float

    @property
    def margin(self) -> float:
        """Normalised margin: the label's probability less the other's, -1 (surely wrong) to 1."""
        return self.probability - self.likely_probability


def class_thresholds(labels: Int64Array, own: Float64Array, num_classes: int) -> Float64Array:
    """Return for each class the mean probability of it over the pictures that are labelled so, [K].

    A class without pictures has a threshold above 1, which no picture reaches.

    Args:
        labels: class of each picture, int64 [N].
        own: probability of that class, [N].
        num_classes: K.
    """
    counts = np.bincount(labels, minlength=num_classes)
    sums = np.bincount(labels, weights=own, minlength=num_classes)
    thresholds: Float64Array = np.where(counts > 0, sums / np.maximum(counts, 1), 2.0)
    return thresholds


def find_label_errors(given: Confidences, num_classes: int) -> list[LabelError]:
    """Return the pictures off the diagonal of the confident joint, the smallest normalised margin first.

    A picture counts for the most probable of those classes whose threshold its probability reaches (section 3.1 of
    the paper); where that is not its label, it is a likely error.

    Args:
        given: probabilities that a model gives to the pictures.
        num_classes: K.
    """
    known = np.flatnonzero(np.isfinite(given.own))
    labels, own, classes = given.labels[known], given.own[known], given.classes[known]
    if not len(known):
        return []
    thresholds = class_thresholds(labels, own, num_classes)
    # A threshold is a mean of rounded numbers: the one picture of a class must reach its own.
    reached = (given.probabilities[known] >= thresholds[classes] - _LEAST) & (classes >= 0)
    best = reached.argmax(axis=1)  # the first that reaches, for the most probable ones come first
    each = np.arange(len(known))
    suspects = np.flatnonzero(reached.any(axis=1) & (classes[each, best] != labels))
    errors = [
        LabelError(
            int(known[place]),
            int(labels[place]),
            int(classes[place, best[place]]),
            float(own[place]),
            float(given.probabilities[known[place], best[place]]),
        )
        for place in suspects.tolist()
    ]
    return sorted(errors, key=lambda error: (error.margin, error.index))
