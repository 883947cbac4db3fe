"""An evaluation as CSV: metrics by class, confusion matrix, predictions sample by sample."""

import math
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np

from torchstone_runtime.answered import NO_ANSWER
from torchstone_runtime.csv_text import csv_text
from torchstone_runtime.data.split import Split
from torchstone_runtime.metrics import Metrics
from torchstone_runtime.predictions import Predictions


def metrics_csv(metrics: Metrics) -> str:
    """Return one row a class, then the averages and the accuracy (in the column `recall`).

    The figures of a class that is absent are empty.
    """
    rows: list[list[Any]] = [["class", "precision", "recall", "f1", "support"]]
    rows += [[c.name, *map(_or_empty, (c.precision, c.recall, c.f1)), c.support] for c in metrics.per_class]
    for name, average in (("macro average", metrics.macro), ("weighted average", metrics.weighted)):
        rows.append([name, average.precision, average.recall, average.f1, metrics.total])
    rows.append(["accuracy", "", metrics.accuracy, "", metrics.total])
    return csv_text(rows)


def confusion_csv(metrics: Metrics) -> str:
    """Return the confusion matrix: one row a true class, one column a predicted class."""
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
    """Writes one row a sample as batches arrive: id, true and predicted class, margin, each class's probability.

    The margin is the difference of the two largest probabilities. For a sample without an answer, predicted class,
    margin and probabilities are empty.
    """

    def __init__(self, file: IO[bytes], class_names: tuple[str, ...]) -> None:
        self._file = file
        header = ["id", "true", "predicted", "correct", "margin", *(f"p({name})" for name in class_names)]
        self._write([header])

    def add(self, split: Split, start: int, predictions: Predictions) -> None:
        """Append the samples of `split` from index `start` on; usable as the `on_batch` of `evaluate`."""
        rows = []
        for offset, (index, row) in enumerate(zip(predictions.indices_or_none, predictions.probabilities, strict=True)):
            names, true = predictions.class_names, split.labels[start + offset]
            known = [split.ids[start + offset], names[true]]
            if index == NO_ANSWER:
                rows.append([*known, "", 0, *[""] * (1 + len(names))])
                continue
            second, first = sorted(row.tolist())[-2:]
            rows.append([*known, names[index], int(true == index), first - second, *row.tolist()])
        self._write(rows)

    def _write(self, rows: Iterable[list[Any]]) -> None:
        self._file.write(csv_text(rows).encode())


def _or_empty(figure: float) -> float | str:
    return "" if math.isnan(figure) else figure
