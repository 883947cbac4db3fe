"""The bootstrap intervals of F1."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from torchstone_runtime.bootstrap import f1_intervals
from torchstone_runtime.metrics import confusion_matrix


@pytest.mark.parametrize("average", ["macro", "weighted", None])
def test_it_agrees_with_resampling_the_samples_themselves(average: str | None) -> None:
    """The two ways to draw give the same interval but for the draw's own chance."""
    generator = np.random.default_rng(3)
    true = generator.integers(0, 4, 300)
    predicted = np.where(generator.random(300) < 0.8, true, generator.integers(0, 4, 300))
    values = []
    for _ in range(1500):
        chosen = generator.integers(0, 300, 300)
        values.append(f1_score(true[chosen], predicted[chosen], average=average, labels=range(4), zero_division=0))
    found = f1_intervals(confusion_matrix(true, predicted, 4))
    expected = np.quantile(values, (0.025, 0.975), axis=0)
    if average is None:
        np.testing.assert_allclose(found.per_class, expected.T, atol=0.015)
    else:
        np.testing.assert_allclose(getattr(found, average), expected, atol=0.01)


def test_it_is_the_same_each_time() -> None:
    """Two reports of one evaluation don't differ."""
    matrix = np.array([[30, 5], [7, 40]])
    assert f1_intervals(matrix) == f1_intervals(matrix)


def test_a_matrix_without_mistakes_has_no_spread() -> None:
    """Every draw of a perfect classifier is perfect."""
    assert f1_intervals(np.diag([10, 20, 30])).macro == (1.0, 1.0)


def test_an_empty_matrix_says_nothing() -> None:
    """No sample, no bound."""
    assert f1_intervals(np.zeros((3, 3), dtype=np.int64)).macro == (0.0, 1.0)
