"""The files that `evaluate --predictions` writes: their columns, and how they are read back."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.answered import NO_ANSWER

FIXED_COLUMNS: Final = ["id", "true", "predicted", "correct", "margin"]
RUNNERS_UP: Final = 4
COMPACT_COLUMNS: Final = [
    "p(predicted)",
    "p(true)",
    *(text for rank in range(2, 2 + RUNNERS_UP) for text in (f"rank {rank}", f"p(rank {rank})")),
]
"""What follows the fixed columns of a file of very many classes, in the place of one column per class."""
_REMEDY: Final = "Give a file that 'torchstone evaluate --predictions FILE.csv' wrote."


def read_predictions(path: Path) -> LabelledPredictions:
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
    confidence = np.array([row[3] for row in rows])
    return LabelledPredictions(ids, class_names, labels, predicted, confidence, complete=complete)


def read_probabilities(path: Path) -> tuple[LabelledPredictions, Int64Array, Float64Array]:
    """Read a predictions file with the probabilities that it holds.

    Returns:
        The predictions, with all classes that the file names; for each sample classes, int64 [N, R], and their
        probabilities, float64 [N, R]. Where the file has a column per class, R is the number of classes; else those of
        the true, the predicted and the next classes. The probabilities of a sample without an answer are NaN.

    Raises:
        DataError: as for `read_predictions`.
    """
    found = read_predictions(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if row][1:]
    try:
        if found.complete:
            values = np.array([[_number(cell) for cell in row[len(FIXED_COLUMNS) :]] for row in rows])
            return found, np.tile(np.arange(len(found.class_names)), (len(rows), 1)), values
        return _compact_probabilities(found, rows)
    except ValueError as error:
        raise DataError(f"{path} holds a probability that is not a number: {error}.", _REMEDY) from error


def _compact_probabilities(
    found: LabelledPredictions, rows: list[list[str]]
) -> tuple[LabelledPredictions, Int64Array, Float64Array]:
    """Take the classes of each row, its own, the predicted and the next ones, with their probabilities."""
    first = len(FIXED_COLUMNS)
    named = [[(row[1], row[first + 1]), (row[2], row[first]), *_pairs(row[first + 2 :])] for row in rows]
    names = tuple(sorted({name for row in named for name, _ in row if name}))
    position = {name: index for index, name in enumerate(names)}
    classes = np.array([[position.get(name, position[row[0][0]]) for name, _ in row] for row in named], dtype=np.int64)
    values = np.array([[_number(cell) for _, cell in row] for row in named])
    return found.with_classes(names), classes, values


def _pairs(cells: list[str]) -> list[tuple[str, str]]:
    return list(zip(cells[::2], cells[1::2], strict=True))


def _number(cell: str) -> float:
    return float(cell) if cell else math.nan


def _class_names(path: Path, header: list[str]) -> tuple[str, ...]:
    names = header[len(FIXED_COLUMNS) :]
    if (
        header[: len(FIXED_COLUMNS)] != FIXED_COLUMNS
        or not names
        or not all(n.startswith("p(") and n.endswith(")") for n in names)
    ):
        raise DataError(f"{path} lacks the columns {', '.join(FIXED_COLUMNS)}, p(CLASS)…", _REMEDY)
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
