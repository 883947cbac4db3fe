"""Which images of a split are shown: samples of every class, mistakes, and what is often confused."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions

_SAMPLES: Final = 28
_MISTAKES: Final = 21
_PAIRS: Final = 90
"""Every cell of a matrix of ten classes has pictures."""
_PAIR_PICTURES: Final = 240
"""Pictures of all pairs together, which bounds a page."""
SAMPLES_OF_A_PAIR: Final = 6


@dataclass(frozen=True, eq=False, slots=True)
class ConfusedPair:
    """A true class and the one it is taken for.

    Attributes:
        true, predicted: names of the classes.
        count: images of the one taken for the other.
        support: images of the true class.
        indices: indices of the images of the split that are shown, the most confident first.
    """

    true: str
    predicted: str
    count: int
    support: int
    indices: Int64Array


def samples_of_each_class(seen: LabelledPredictions) -> Int64Array:
    """Return the indices of the first images of each class."""
    return evenly_by_class(seen.labels, _SAMPLES)


def evenly_by_class(labels: Int64Array, count: int) -> Int64Array:
    """Return up to `count` indices: the first of each class, then the second of each, and so on."""
    rank = np.empty(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        rank[members] = np.arange(len(members))
    return np.lexsort((labels, rank))[:count]


def confident_mistakes(seen: LabelledPredictions, count: int = _MISTAKES) -> Int64Array:
    """Return the indices of up to `count` wrong ones of which the model is most confident, most confident first."""
    return seen.wrong()[:count]


def confused_pairs(seen: LabelledPredictions) -> list[ConfusedPair]:
    """Return the pairs of classes that are most often confused, the most frequent first."""
    metrics, names = seen.metrics, seen.class_names
    wrong = seen.wrong()
    pairs = []
    most = metrics.most_confused(_PAIRS)
    each = max(1, min(SAMPLES_OF_A_PAIR, _PAIR_PICTURES // max(1, len(most))))
    for true, predicted, count in most:
        of_pair = (seen.labels[wrong] == names.index(true)) & (seen.predicted[wrong] == names.index(predicted))
        support = metrics.per_class[names.index(true)].support
        pairs.append(ConfusedPair(true, predicted, count, support, wrong[of_pair][:each]))
    return pairs


def linked_cells(seen: LabelledPredictions) -> frozenset[tuple[int, int]]:
    """Return the cells of the confusion matrix, by true and predicted class, that `confused_pairs` has pictures of."""
    place = {name: index for index, name in enumerate(seen.class_names)}
    return frozenset((place[true], place[guess]) for true, guess, _ in seen.metrics.most_confused(_PAIRS))


def reduced(pixels: Uint8Array, largest_side: int) -> Uint8Array:
    """Return a (C, H, W) image with no side above `largest_side`; a smaller one is left as it is."""
    _, height, width = pixels.shape
    factor = largest_side / max(height, width)
    if factor >= 1:
        return pixels
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    planes = [np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BOX)) for plane in pixels]
    return np.stack(planes)
