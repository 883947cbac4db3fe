"""A confusion matrix by its filled cells: K classes make K x K cells, but N samples fill at most N of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import numpy as np

from torchstone_runtime.arrays import Int64Array

MOST_DENSE: Final = 100
"""Classes up to which JSON holds the whole matrix; with more, its filled cells."""
_PARTS: Final = 3


@dataclass(frozen=True, eq=False)
class ConfusionCells:
    """The filled cells of a confusion matrix, ordered by true class, then by predicted class.

    Attributes:
        num_classes: K.
        true: int64 [M], 0 to K - 1; predicted: int64 [M], likewise; no pair occurs twice.
        count: int64 [M], samples in the cell, at least 1.
    """

    num_classes: int
    true: Int64Array
    predicted: Int64Array
    count: Int64Array

    @classmethod
    def of_labels(cls, true: Int64Array, predicted: Int64Array, num_classes: int) -> Self:
        """Count samples by true and predicted class, in memory and time that grow with N and not with K x K.

        Args:
            true: int64 [N], 0 to num_classes - 1.
            predicted: int64 [N], 0 to num_classes - 1.
            num_classes: K.

        Raises:
            ValueError: different lengths, or a label out of range.
        """
        if true.shape != predicted.shape:
            raise ValueError(f"{len(true)} true labels but {len(predicted)} predictions")
        for labels in (true, predicted):
            if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
                raise ValueError(f"labels must lie in 0..{num_classes - 1}; found {labels.min()}..{labels.max()}")
        return cls.of_places(true.astype(np.int64) * num_classes + predicted, num_classes)

    @classmethod
    def of_places(cls, places: Int64Array, num_classes: int) -> Self:
        """Count samples by the number of their cell, `true * num_classes + predicted`, int64 [N]."""
        cells, count = np.unique(places, return_counts=True)
        return cls(num_classes, *np.divmod(cells, num_classes), count.astype(np.int64))

    @classmethod
    def of_matrix(cls, matrix: Int64Array) -> Self:
        """Return the filled cells of a matrix, int64 [K, K]: rows are true classes, columns predicted ones."""
        true, predicted = np.nonzero(matrix)
        return cls(len(matrix), true, predicted, matrix[true, predicted])

    @classmethod
    def from_json(cls, metrics: Mapping[str, Any], num_classes: int) -> Self:
        """Read the matrix of a metrics object, whole or by its filled cells (docs/reference/bundle-format.md).

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it holds neither, or something else.
        """
        if "confusion_matrix" in metrics:
            matrix = np.array(metrics["confusion_matrix"], dtype=np.int64)
            if matrix.shape != (num_classes, num_classes) or (matrix < 0).any():
                raise ValueError(f"the confusion matrix has the shape {matrix.shape}, or a count below 0")
            return cls.of_matrix(matrix)
        cells = np.array(metrics["confusion_cells"], dtype=np.int64).reshape(-1, _PARTS)
        true, predicted, count = cells.T
        places = true * num_classes + predicted
        inside = (cells >= 0).all() and (cells[:, :2] < num_classes).all() and (count > 0).all()
        if not inside or (np.diff(places) <= 0).any():
            raise ValueError("the cells of the confusion matrix are out of order or of range")
        return cls(num_classes, true, predicted, count)

    def to_json(self) -> dict[str, Any]:
        """Return the matrix as JSON data: `confusion_matrix`, or of more than `MOST_DENSE` classes `confusion_cells`.

        The latter is an array of [true class, predicted class, samples], classes as indices from 0.
        """
        if self.num_classes <= MOST_DENSE:
            return {"confusion_matrix": self.matrix().tolist()}
        return {"confusion_cells": np.stack([self.true, self.predicted, self.count], axis=1).tolist()}

    def matrix(self) -> Int64Array:
        """Return the whole matrix, int64 [K, K]: 8 bytes per cell, filled or not."""
        matrix = np.zeros((self.num_classes, self.num_classes), dtype=np.int64)
        matrix[self.true, self.predicted] = self.count
        return matrix

    def blocks(self, largest: int) -> Int64Array:
        """Return the matrix in blocks of neighbouring classes, int64 [B, B], B at most `largest`; a class each if few.

        Blocks are of equal size but for the last, which may be smaller.
        """
        step = self.block_size(largest)
        count = -(-self.num_classes // step)
        blocks = np.zeros((count, count), dtype=np.int64)
        np.add.at(blocks, (self.true // step, self.predicted // step), self.count)
        return blocks

    def block_size(self, largest: int) -> int:
        """Return how many classes a row of `blocks` stands for."""
        return -(-self.num_classes // largest)

    @cached_property
    def hits(self) -> Int64Array:
        """Samples of each class that are predicted as it, int64 [K]."""
        right = self.true == self.predicted
        return self._sum(self.true[right], self.count[right])

    @cached_property
    def support(self) -> Int64Array:
        """Samples of each true class, int64 [K]."""
        return self._sum(self.true, self.count)

    @cached_property
    def chosen(self) -> Int64Array:
        """Samples of each predicted class, int64 [K]."""
        return self._sum(self.predicted, self.count)

    def confusions(self) -> "ConfusionCells":
        """Return the cells off the diagonal, the fullest first; of equal ones in the order of the matrix."""
        wrong = np.flatnonzero(self.true != self.predicted)
        order = wrong[np.argsort(-self.count[wrong], kind="stable")]
        return ConfusionCells(self.num_classes, self.true[order], self.predicted[order], self.count[order])

    def _sum(self, classes: Int64Array, count: Int64Array) -> Int64Array:
        sums = np.zeros(self.num_classes, dtype=np.int64)
        np.add.at(sums, classes, count)
        return sums
