"""What a model decided of labelled samples, by id: measured now, or read from an `evaluate --predictions` file."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.classification import Metrics, metrics_from_labels
from torchstone_runtime.text import shortlist

FIXED_COLUMNS: Final = ["id", "true", "predicted", "correct", "margin"]
RUNNERS_UP: Final = 4
COMPACT_COLUMNS: Final = [
    "p(predicted)",
    "p(true)",
    *(text for rank in range(2, 2 + RUNNERS_UP) for text in (f"rank {rank}", f"p(rank {rank})")),
]
"""What follows the fixed columns of a file of very many classes, in the place of a column a class."""
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
        complete: whether `class_names` are the model's, in its order; else they are those that occur, by name.
    """

    class_names: tuple[str, ...]
    ids: Sequence[str]
    labels: Int64Array
    predicted: Int64Array
    confidence: Float64Array
    complete: bool = True

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
                header = next(reader, [])
                numbered = [(number, row) for number, row in enumerate(reader, start=2) if row]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} cannot be read as CSV: {error}.", _REMEDY) from error
        complete = header != FIXED_COLUMNS + COMPACT_COLUMNS
        class_names = _class_names(path, header) if complete else _occurring(row for _, row in numbered)
        position = {name: index for index, name in enumerate(class_names)}
        width = len(class_names) if complete else len(COMPACT_COLUMNS)
        rows = [_parse(path, number, row, position, width, complete=complete) for number, row in numbered]
        ids = [row[0] for row in rows]
        if not rows:
            raise DataError(f"{path} holds no predictions.", _REMEDY)
        if len(set(ids)) != len(ids):
            raise DataError(f"{path}: an id occurs twice.", _REMEDY)
        labels, predicted = (np.array([row[column] for row in rows], dtype=np.int64) for column in (1, 2))
        return cls(class_names, ids, labels, predicted, np.array([row[3] for row in rows]), complete)

    def with_classes(self, class_names: tuple[str, ...]) -> "Outcomes":
        """Return the same decisions with other indices: of names that hold all of these."""
        position = {name: index for index, name in enumerate(class_names)}
        # The last place is that of no answer, -1.
        places = np.array([*(position[name] for name in self.class_names), NO_ANSWER], dtype=np.int64)
        return replace(self, class_names=class_names, labels=places[self.labels], predicted=places[self.predicted])

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
        return replace(
            self, ids=other.ids, labels=other.labels, predicted=self.predicted[order], confidence=self.confidence[order]
        )


def with_shared_classes(first: Outcomes, second: Outcomes) -> tuple[Outcomes, Outcomes]:
    """Return both with the same classes where a file that holds only those that occur allows it; else as they are."""
    if first.complete and second.complete:
        return first, second
    names = first.class_names if first.complete else second.class_names
    if not (first.complete or second.complete):
        names = tuple(sorted({*first.class_names, *second.class_names}))
    if not {*first.class_names, *second.class_names} <= set(names):
        return first, second
    return first.with_classes(names), second.with_classes(names)


def _class_names(path: Path, header: list[str]) -> tuple[str, ...]:
    names = header[len(FIXED_COLUMNS) :]
    if (
        header[: len(FIXED_COLUMNS)] != FIXED_COLUMNS
        or not names
        or not all(n.startswith("p(") and n.endswith(")") for n in names)
    ):
        raise DataError(f"{path} has not the columns {', '.join(FIXED_COLUMNS)}, p(CLASS)…", _REMEDY)
    return tuple(name[2:-1] for name in names)


def _occurring(rows: Iterable[list[str]]) -> tuple[str, ...]:
    columns = slice(1, 3)  # true and predicted
    return tuple(sorted({name for row in rows for name in row[columns] if name}))


def _parse(
    path: Path, number: int, row: list[str], position: Mapping[str, int], width: int, *, complete: bool
) -> tuple[str, int, int, float]:
    try:
        true = position[row[1]]
        if row[2:] == ["", "0", *[""] * (1 + width)]:
            return row[0], true, NO_ANSWER, 0.0
        predicted = position[row[2]]
        # The probability of the predicted class is the first one of a compact row.
        confidence = float(row[len(FIXED_COLUMNS) + (predicted if complete else 0)])
        if len(row) != len(FIXED_COLUMNS) + width or not math.isfinite(confidence):
            raise ValueError
    except (KeyError, ValueError, IndexError) as error:
        raise DataError(f"{path}, row {number}: not a prediction of these classes.", _REMEDY) from error
    return row[0], true, predicted, confidence
