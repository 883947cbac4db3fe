"""An evaluation as CSV: metrics by class, confusion matrix, predictions sample by sample."""

import math
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np

from torchstone_runtime.csv_text import csv_text
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.predictions_file import COMPACT_COLUMNS, FIXED_COLUMNS, RUNNERS_UP
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.metrics.confusion import MOST_DENSE


def metrics_csv(metrics: Metrics) -> str:
    """Return one row per class, then the averages and the accuracy (in the column `recall`).

    The figures of a class that is absent are empty.
    """
    rows: list[list[Any]] = [["class", "precision", "recall", "f1", "support"]]
    rows += [[c.name, *map(_or_empty, (c.precision, c.recall, c.f1)), c.support] for c in metrics.per_class]
    for name, average in (("macro average", metrics.macro), ("weighted average", metrics.weighted)):
        rows.append([name, average.precision, average.recall, average.f1, metrics.total])
    rows.append(["accuracy", "", metrics.accuracy, "", metrics.total])
    return csv_text(rows)


def confusion_csv(metrics: Metrics) -> str:
    """Return the confusion matrix: one row per true class, one column per predicted class."""
    return csv_text(_confusion_rows(metrics))


def _confusion_rows(metrics: Metrics) -> Iterator[list[Any]]:
    yield ["true \\ predicted", *metrics.class_names]
    cells, names = metrics.cells, metrics.class_names
    ends = np.searchsorted(cells.true, np.arange(len(names) + 1)).tolist()
    for label, name in enumerate(names):
        row = [0] * len(names)
        for cell in range(ends[label], ends[label + 1]):
            row[cells.predicted[cell]] = int(cells.count[cell])
        yield [name, *row]


class PredictionsCsv:
    """Writes one row per sample as batches arrive: id, true and predicted class, margin, each class's probability.

    The margin is the difference of the two largest probabilities. For a sample without an answer, predicted class,
    margin and probabilities are empty. Of more than `MOST_DENSE` classes, a row has the probabilities of the predicted
    and the true class, and the four classes that are the next most probable, each with its probability.
    """

    def __init__(self, file: IO[bytes], class_names: tuple[str, ...]) -> None:
        self._file = file
        self._compact = len(class_names) > MOST_DENSE
        columns = COMPACT_COLUMNS if self._compact else [f"p({name})" for name in class_names]
        self._write([[*FIXED_COLUMNS, *columns]])

    def add(self, split: Split, start: int, predictions: Predictions) -> None:
        """Append the samples of `split` from index `start` on; usable as the `on_batch` of `evaluate`."""
        self._write(self._few(split, start, predictions) if self._compact else self._all(split, start, predictions))

    def _few(self, split: Split, start: int, predictions: Predictions) -> Iterator[list[Any]]:
        names = predictions.class_names
        for offset, top in enumerate(predictions.top(1 + RUNNERS_UP)):
            true = split.labels[start + offset]
            known = [split.ids[start + offset], names[true]]
            if not top:
                yield [*known, "", 0, *[""] * (1 + len(COMPACT_COLUMNS))]
                continue
            (predicted, first), *others = top
            own = [first, predictions.probabilities[offset, true].item()]
            following = [value for pair in others for value in pair]
            yield [*known, predicted, int(predicted == names[true]), first - others[0][1], *own, *following]

    def _all(self, split: Split, start: int, predictions: Predictions) -> Iterator[list[Any]]:
        for offset, (index, row) in enumerate(zip(predictions.indices_or_none, predictions.probabilities, strict=True)):
            names, true = predictions.class_names, split.labels[start + offset]
            known = [split.ids[start + offset], names[true]]
            if index == NO_ANSWER:
                yield [*known, "", 0, *[""] * (1 + len(names))]
                continue
            second, first = sorted(row.tolist())[-2:]
            yield [*known, names[index], int(true == index), first - second, *row.tolist()]

    def _write(self, rows: Iterable[list[Any]]) -> None:
        self._file.write(csv_text(rows).encode())


def _or_empty(figure: float) -> float | str:
    return "" if math.isnan(figure) else figure
