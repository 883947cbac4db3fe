"""What a model decided of labelled samples, by id: measured now, or read from an `evaluate --predictions` file."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np

from torchstone_runtime.answered import NO_ANSWER
from torchstone_runtime.data.split import Int64Array, Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.metrics import Float64Array, Metrics, metrics_from_labels
from torchstone_runtime.text import shortlist

_FIXED: Final = ["id", "true", "predicted", "correct", "margin"]
_REMEDY: Final = "Give a file that 'torchstone evaluate --predictions FILE.csv' wrote."


@dataclass(frozen=True, eq=False, slots=True)
class Outcomes:
    """The decisions on N samples.

    Attributes:
        class_names: the K classes.
        ids: of the samples, all different.
        labels: int64 [N], true classes.
        predicted: int64 [N]; `NO_ANSWER` for a sample that has none.
        confidence: float64 [N], probability (0 to 1) of the predicted class; 0 without one.
    """

    class_names: tuple[str, ...]
    ids: Sequence[str]
    labels: Int64Array
    predicted: Int64Array
    confidence: Float64Array

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def metrics(self) -> Metrics:
        """Everything that the confusion matrix says."""
        return metrics_from_labels(self.labels, self.predicted, self.class_names)

    @property
    def unanswered(self) -> list[str]:
        """Ids of the samples for which the model gives no answer."""
        return [self.ids[index] for index in np.flatnonzero(self.predicted == NO_ANSWER).tolist()]

    @classmethod
    def of(cls, split: Split, predicted: Int64Array, confidence: Float64Array) -> Self:
        """Return the decisions on a split whose classes are named as the model's are."""
        return cls(split.class_names, split.ids, split.labels, predicted, confidence)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a predictions file.

        Raises:
            DataError: not readable, of another layout, or contradicting itself.
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                class_names = _class_names(path, next(reader, []))
                rows = [_parse(path, number, row, class_names) for number, row in enumerate(reader, start=2) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} cannot be read as CSV: {error}.", _REMEDY) from error
        ids = [row[0] for row in rows]
        if not rows:
            raise DataError(f"{path} holds no predictions.", _REMEDY)
        if len(set(ids)) != len(ids):
            raise DataError(f"{path}: an id occurs twice.", _REMEDY)
        labels, predicted = (np.array([row[column] for row in rows], dtype=np.int64) for column in (1, 2))
        return cls(class_names, ids, labels, predicted, np.array([row[3] for row in rows]))

    def in_order_of(self, other: "Outcomes", name: str, other_name: str) -> "Outcomes":
        """Return these decisions in the order of another's samples.

        Raises:
            DataError: other classes, samples, or true classes.
        """
        if self.class_names != other.class_names:
            raise DataError(
                f"{name} and {other_name} don't have the same classes.",
                f"{name}: {shortlist(self.class_names)}.\n{other_name}: {shortlist(other.class_names)}.",
            )
        if list(self.ids) == list(other.ids):
            order = np.arange(len(self), dtype=np.int64)
        else:
            position = {sample: index for index, sample in enumerate(self.ids)}
            missing = [sample for sample in other.ids if sample not in position]
            if missing or len(position) != len(other):
                raise DataError(
                    f"{name} and {other_name} don't hold the same samples: {len(self):,} and {len(other):,}"
                    + (f"; {missing[0]} is only in {other_name}." if missing else "."),
                    "Measure both on the same split of the same data.",
                )
            order = np.array([position[sample] for sample in other.ids], dtype=np.int64)
        if not np.array_equal(self.labels[order], other.labels):
            raise DataError(
                f"{name} and {other_name} state different true classes for the same samples.",
                "Measure both on the same labels.",
            )
        return Outcomes(self.class_names, other.ids, other.labels, self.predicted[order], self.confidence[order])


def _class_names(path: Path, header: list[str]) -> tuple[str, ...]:
    names = header[len(_FIXED) :]
    if header[: len(_FIXED)] != _FIXED or not names or not all(n.startswith("p(") and n.endswith(")") for n in names):
        raise DataError(f"{path} has not the columns {', '.join(_FIXED)}, p(CLASS)…", _REMEDY)
    return tuple(name[2:-1] for name in names)


def _parse(path: Path, number: int, row: list[str], class_names: tuple[str, ...]) -> tuple[str, int, int, float]:
    try:
        true = class_names.index(row[1])
        if row[2:] == ["", "0", *[""] * (1 + len(class_names))]:
            return row[0], true, NO_ANSWER, 0.0
        predicted = class_names.index(row[2])
        confidence = float(row[len(_FIXED) + predicted])
        if len(row) != len(_FIXED) + len(class_names) or not math.isfinite(confidence):
            raise ValueError
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}, row {number}: not a prediction of these classes.", _REMEDY) from error
    return row[0], true, predicted, confidence
