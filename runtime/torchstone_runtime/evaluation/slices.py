"""Metrics by group: how a model does on the parts of a split that somebody cares about.

The groups come from a CSV file with a header: a column `id`, the sample ids that `evaluate --predictions` writes, and
one or more further columns, each of which divides the samples into groups by its values.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.metrics.classification import Metrics, metrics_from_labels

NO_GROUP: Final = "(no group)"
_ID: Final = "id"
_MOST_GROUPS: Final = 1000
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Slice:
    """One group of samples: those with `value` in the CSV's `column`."""

    column: str
    value: str
    metrics: Metrics

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return {
            "column": self.column,
            "value": self.value,
            "samples": self.metrics.total,
            "accuracy": self.metrics.accuracy,
            "accuracy_interval_95": list(self.metrics.accuracy_interval),
            "weighted_f1": self.metrics.weighted.f1,
        }


class Grouping:
    """The groups of a split's samples.

    Attributes:
        columns: value of each sample, in the split's order, by name of the column; `NO_GROUP` where a sample has none.
    """

    def __init__(self, columns: dict[str, list[str]]) -> None:
        self.columns = columns

    @classmethod
    def read(cls, path: Path, split: Split) -> "Grouping":
        """Read a CSV file.

        Raises:
            DataError: not readable, no column `id` or no other, an id twice or unknown to the split, or a column with
                so many values that it can't be meant as groups.
        """
        header, rows = _read_rows(path)
        position = {sample: index for index, sample in enumerate(split.ids)}
        columns = {name: [NO_GROUP] * len(split) for name in header if name != _ID}
        where = header.index(_ID)
        unknown, seen = [], set()
        for row in rows:
            sample = row[where]
            if sample in seen:
                raise DataError(f"{path}: the id '{sample}' occurs twice.", "Give each sample one row.")
            seen.add(sample)
            if sample not in position:
                unknown.append(sample)
                continue
            for name, value in zip(header, row, strict=True):
                if name != _ID:
                    columns[name][position[sample]] = value or NO_GROUP
        _require_known(path, split, unknown)
        _require_groups(path, columns)
        return cls(columns)

    def measure(self, split: Split, predicted: Int64Array) -> list[Slice]:
        """Return the metrics of each group, the least accurate of a column first.

        Args:
            split: split that the grouping was read for.
            predicted: int64 [N], the class predicted for each of its samples.
        """
        return [item for column in self.columns for item in self._measure_column(column, split, predicted)]

    def _measure_column(self, column: str, split: Split, predicted: Int64Array) -> list[Slice]:
        values, groups = np.unique(np.array(self.columns[column], dtype=object).astype(str), return_inverse=True)
        slices = []
        for index, value in enumerate(values.tolist()):
            chosen = groups == index
            metrics = metrics_from_labels(split.labels[chosen], predicted[chosen], split.class_names)
            slices.append(Slice(column, value, metrics))
        return sorted(slices, key=lambda item: item.metrics.accuracy)


def _read_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV: {error}.", "Give a UTF-8 CSV file with a header.") from error
    if not rows or rows[0].count(_ID) != 1 or len(set(rows[0])) != len(rows[0]) or len(rows[0]) < 2:  # noqa: PLR2004
        found = ", ".join(rows[0]) if rows else "nothing"
        raise DataError(
            f"{path} needs a header with a column '{_ID}' and one for each grouping, all different; found: {found}.",
            "The ids are those that 'torchstone evaluate --predictions FILE.csv' writes.",
        )
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]):
            raise DataError(f"{path}, row {number}: {len(row)} fields, expected {len(rows[0])}.")
    return rows[0], rows[1:]


def _require_known(path: Path, split: Split, unknown: Sequence[str]) -> None:
    if unknown:
        raise DataError(
            f"{path}: {len(unknown):,} ids are not of the split “{split.name}”, such as "
            f"{', '.join(unknown[:_SHOWN])}. The split's look like {', '.join(split.ids[:_SHOWN])}.",
            "The ids are those that 'torchstone evaluate --predictions FILE.csv' writes.",
        )


def _require_groups(path: Path, columns: dict[str, list[str]]) -> None:
    for name, values in columns.items():
        if len(set(values)) > _MOST_GROUPS:
            raise DataError(f"{path}: the column '{name}' has {len(set(values)):,} values, more than {_MOST_GROUPS:,}.")
