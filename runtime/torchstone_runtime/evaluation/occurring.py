"""Classes that don't occur: which they are, in words, and intervals over those that do."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.metrics.f1_intervals import F1Intervals, f1_intervals_of_cells
from torchstone_runtime.text import shortlist

_SHOWN: Final = 10


def classes_without_images(labels: Int64Array, class_names: Sequence[str]) -> list[str]:
    """Return the classes that no label, int64 [N], names."""
    found = np.bincount(labels, minlength=len(class_names))
    return [name for name, count in zip(class_names, found.tolist(), strict=True) if not count]


def describe_missing(missing: Sequence[str], total: int, what: str) -> str:
    """Return a sentence that names the classes without images, of `total`, and says what becomes of the averages.

    Args:
        missing: names of the classes without images, at least one; the sentence has the first ones.
        total: number of all classes.
        what: phrase for the data, as in "the test split".
    """
    return (
        f"{len(missing):,} of {total:,} classes have no images in {what}: {shortlist(missing, _SHOWN)}. "
        "Macro averages leave such a class out, unless it is predicted for an image: then it counts as 0."
    )


def missing_by_split(splits: Mapping[str, Split]) -> list[str]:
    """Return `describe_missing` of each set of classes without images, the splits that lack the same ones together.

    Args:
        splits: splits by name, all with the same classes.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for name, split in splits.items():
        if missing := classes_without_images(split.labels, split.class_names):
            found.setdefault(tuple(missing), []).append(name)
    total = len(next(iter(splits.values())).class_names)
    return [
        describe_missing(missing, total, f"the {' and '.join(names)} split{'s' if len(names) > 1 else ''}")
        for missing, names in found.items()
    ]


def f1_intervals_of(metrics: Metrics) -> F1Intervals:
    """Return the intervals of F1 over the classes that occur; that of an absent class is (0, 1)."""
    true, predicted, counts = _with_unanswered(metrics)
    return f1_intervals_of_cells(true, predicted, counts, len(metrics.per_class))


def _with_unanswered(metrics: Metrics) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return the filled cells by row; samples without an answer stand in a further column K."""
    cells = metrics.cells
    lost = np.array(metrics.unanswered, dtype=np.int64)
    rows = np.flatnonzero(lost)
    true = np.concatenate([cells.true, rows])
    predicted = np.concatenate([cells.predicted, np.full(len(rows), cells.num_classes)])
    order = np.lexsort((predicted, true))
    return true[order], predicted[order], np.concatenate([cells.count, lost[rows]])[order]
