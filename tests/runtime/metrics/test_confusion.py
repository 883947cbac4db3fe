"""A confusion matrix by its filled cells, and as JSON."""

import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from helpers.support import half_right
from torchstone_runtime.evaluation.occurring import f1_intervals_of
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.classification import metrics_from_confusion, metrics_from_labels
from torchstone_runtime.metrics.confusion import MOST_DENSE, ConfusionCells

COUNTS = st.one_of(st.just(0), st.integers(0, 2**40))
MATRICES = st.integers(2, 6).flatmap(lambda k: arrays.arrays(np.int64, (k, k), elements=COUNTS))


@given(MATRICES)
def test_cells_give_the_matrix_back(matrix: np.ndarray[Any, Any]) -> None:
    """Dense to sparse to dense changes nothing."""
    np.testing.assert_array_equal(ConfusionCells.of_matrix(matrix).matrix(), matrix)


@given(MATRICES)
def test_sums_are_those_of_the_matrix(matrix: np.ndarray[Any, Any]) -> None:
    """Support by row, predictions by column, hits on the diagonal."""
    cells = ConfusionCells.of_matrix(matrix)
    np.testing.assert_array_equal(cells.support, matrix.sum(axis=1))
    np.testing.assert_array_equal(cells.chosen, matrix.sum(axis=0))
    np.testing.assert_array_equal(cells.hits, np.diagonal(matrix))


@given(st.integers(2, 3 * MOST_DENSE), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=50))
def test_json_gives_the_cells_back(classes: int, samples: list[tuple[float, float]]) -> None:
    """Above the threshold as below it."""
    true, predicted = (
        np.array([int(pair[side] * (classes - 1)) for pair in samples], dtype=np.int64) for side in (0, 1)
    )
    cells = ConfusionCells.of_labels(true, predicted, classes)
    read = ConfusionCells.from_json(json.loads(json.dumps(cells.to_json())), classes)
    np.testing.assert_array_equal(read.matrix(), cells.matrix())


@pytest.mark.parametrize(("classes", "key"), [(MOST_DENSE, "confusion_matrix"), (MOST_DENSE + 1, "confusion_cells")])
def test_json_holds_the_whole_matrix_of_few_classes_only(classes: int, key: str) -> None:
    """A hundred classes are written as they always were."""
    assert list(ConfusionCells.of_matrix(np.eye(classes, dtype=np.int64)).to_json()) == [key]


@pytest.mark.parametrize(
    "broken",
    [
        {"confusion_cells": [[0, 3, 1]]},
        {"confusion_cells": [[0, -1, 1]]},
        {"confusion_cells": [[0, 1, 0]]},
        {"confusion_cells": [[0, 1, 1], [0, 1, 2]]},
        {"confusion_cells": [[0, 1]]},
        {"confusion_cells": [[0, 1, 1], [0, 2]]},
        {"confusion_cells": "none"},
        {"confusion_matrix": [[1, 2, 3]]},
        {"confusion_matrix": [[1, 0, 0], [0, -1, 0], [0, 0, 0]]},
        {},
    ],
)
def test_broken_json_is_refused(broken: dict[str, Any]) -> None:
    """Cells out of range, without samples, twice, or of another form."""
    with pytest.raises((KeyError, TypeError, ValueError, OverflowError)):
        ConfusionCells.from_json(broken, 3)


@given(MATRICES)
def test_metrics_are_the_same_from_cells_and_from_the_matrix(matrix: np.ndarray[Any, Any]) -> None:
    """Sparse counting is no other counting."""
    names = [f"class {k}" for k in range(len(matrix))]
    dense, sparse = (metrics_from_confusion(given, names) for given in (matrix, ConfusionCells.of_matrix(matrix)))
    assert json.dumps(dense.to_json()) == json.dumps(sparse.to_json())


def test_the_most_confused_pairs_come_first() -> None:
    """Of equally frequent ones, in the order of the classes."""
    metrics = metrics_from_confusion(np.array([[5, 1, 4], [4, 9, 0], [0, 2, 3]]), ("a", "b", "c"))
    assert metrics.most_confused(3) == [("a", "c", 4), ("b", "a", 4), ("c", "b", 2)]


def test_thousands_of_classes_take_no_matrix() -> None:
    """5,000 classes: less memory than the 25 million bytes of the smallest matrix, samples without an answer among."""
    true, predicted, names = half_right(5000, 20_000)
    predicted[::7] = NO_ANSWER
    tracemalloc.start()
    metrics = metrics_from_labels(true, predicted, names)
    text = json.dumps(metrics.to_json())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25_000_000
    assert len(text) < 2_000_000


def test_intervals_of_thousands_of_classes_take_no_matrix_a_resample() -> None:
    """The draws are held in parts: a matrix of 5,000 classes in float64 would be 200 million bytes."""
    true, predicted, names = half_right(5000, 5000)
    metrics = metrics_from_labels(true, predicted, names)
    tracemalloc.start()
    found = f1_intervals_of(metrics)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.per_class) == 5000
    assert 0 < found.macro[0] < found.macro[1] < 1
    assert peak < 200_000_000
