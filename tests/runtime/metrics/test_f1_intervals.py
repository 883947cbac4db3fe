"""The intervals of F1."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.metrics.classification import metrics_from_confusion
from torchstone_runtime.metrics.f1_intervals import f1_intervals, unbiased_f1

MATRICES = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 9), min_size=k, max_size=k), min_size=k, max_size=k)
)


def population(classes: int, recall: float) -> Float64Array:
    """Return the probabilities of the cells of a confusion matrix, float64 [K, K]: classes alike, mistakes uneven."""
    mistakes = np.random.default_rng(0).dirichlet(np.ones(classes), classes)
    np.fill_diagonal(mistakes, 0)
    mistakes *= (1 - recall) / mistakes.sum(axis=1, keepdims=True)
    return (mistakes + recall * np.eye(classes)) / classes


def misses(cells: Float64Array, samples: int, draws: int) -> tuple[list[float], list[float]]:
    """Return how often the lower and the upper end miss: macro, weighted, by class."""
    true = 2 * np.diagonal(cells) / (cells.sum(axis=0) + cells.sum(axis=1))
    generator = np.random.default_rng(1)
    above, below = [], []
    for _ in range(draws):
        matrix = generator.multinomial(samples, cells.ravel()).reshape(cells.shape)
        found = f1_intervals(matrix)
        occurs = matrix.sum(axis=0) + matrix.sum(axis=1) > 0
        truths = [true[occurs].mean(), cells.sum(axis=1) @ true, true]
        intervals = [np.array(found.macro), np.array(found.weighted), np.array(found.per_class).T]
        above.append([np.mean(low > truth) for (low, _), truth in zip(intervals, truths, strict=True)])
        below.append([np.mean(high < truth) for (_, high), truth in zip(intervals, truths, strict=True)])
    return np.mean(above, axis=0).tolist(), np.mean(below, axis=0).tolist()


@settings(deadline=None)
@given(MATRICES)
def test_that_of_a_class_is_the_exact_one_of_its_jaccard_index(rows: list[list[int]]) -> None:
    """By SciPy, mapped by F1 = 2 J / (1 + J)."""
    matrix = np.array(rows, dtype=np.int64)
    for index, (low, high) in enumerate(f1_intervals(matrix).per_class):
        hits = int(matrix[index, index])
        size = int(matrix[index].sum() + matrix[:, index].sum()) - hits
        if not size:
            assert (low, high) == (0.0, 1.0)
            continue
        exact = stats.binomtest(hits, size).proportion_ci(0.95, "exact")
        assert (low, high) == pytest.approx((2 * exact.low / (1 + exact.low), 2 * exact.high / (1 + exact.high)))


@settings(deadline=None)
@given(MATRICES)
def test_each_holds_its_figure_and_stays_within_0_and_1(rows: list[list[int]]) -> None:
    """Whatever the matrix, classes that don't occur included."""
    matrix = np.array(rows, dtype=np.int64)
    found = f1_intervals(matrix)
    metrics = metrics_from_confusion(matrix, [str(index) for index in range(len(matrix))])
    figures = [metrics.macro.f1, metrics.weighted.f1, *(item.f1 for item in metrics.per_class)]
    for figure, (low, high) in zip(figures, [found.macro, found.weighted, *found.per_class], strict=True):
        assert 0 <= low <= high <= 1
        assert np.isnan(figure) or low - 1e-12 <= figure <= high + 1e-12


@pytest.mark.parametrize("size", [2, 3, 5, 8, 30])
def test_the_mean_of_the_estimate_is_f1(size: int) -> None:
    """Over all binomial samples; plainly taken, it is too low by up to 9 points at two images."""
    hits = np.arange(size + 1, dtype=np.float64)
    estimates = unbiased_f1(hits, np.full(size + 1, float(size)), 0.5)
    for share in np.linspace(0, 1, 21):
        mean = stats.binom.pmf(hits, size, share) @ estimates
        assert mean == pytest.approx(2 * share / (1 + share), abs={2: 0.03, 3: 0.006, 5: 2e-4}.get(size, 1e-5))


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_with_many_images_it_is_that_of_resampling(average: str) -> None:
    """Where the bootstrap is right, both agree."""
    matrix = np.array([[430, 30, 20, 20], [50, 420, 10, 20], [25, 25, 440, 10], [30, 20, 30, 420]])
    generator, values = np.random.default_rng(3), []
    for _ in range(2000):
        drawn = generator.multinomial(2000, matrix.ravel() / 2000).reshape(4, 4)
        values.append(getattr(metrics_from_confusion(drawn, "abcd"), average).f1)
    found = getattr(f1_intervals(matrix), average)
    np.testing.assert_allclose(found, np.quantile(values, (0.025, 0.975)), atol=0.003)


def _keeps_the_level(classes: int, samples: int, recall: float, draws: int) -> bool:
    """Tell whether each end misses in at most 3%, give or take two standard errors of the simulation."""
    rates = np.concatenate(misses(population(classes, recall), samples, draws))
    return bool(rates.max() <= 0.03 + 2 * np.sqrt(0.025 * 0.975 / draws))


@pytest.mark.parametrize(("classes", "samples", "recall"), [(100, 1000, 0.7), (10, 100, 0.95), (2, 40, 0.99)])
def test_few_images_a_class_keep_the_level(classes: int, samples: int, recall: float) -> None:
    """Of macro, weighted and each class's F1, in 150 draws."""
    assert _keeps_the_level(classes, samples, recall, 150)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("classes", "samples", "recall"),
    [
        pytest.param(100, 1000, 0.6, marks=pytest.mark.study),
        pytest.param(100, 300, 0.9, marks=pytest.mark.study),
        pytest.param(100, 10_000, 0.99, marks=pytest.mark.study),
        pytest.param(10, 1000, 0.9, marks=pytest.mark.study),
        pytest.param(2, 30, 0.9, marks=pytest.mark.study),
        (10, 60, 0.5),
    ],
)
def test_the_level_is_kept_by_many_draws(classes: int, samples: int, recall: float) -> None:
    """The same in 1,000 draws, of sparse and, in the study, of dense matrices and of a hundred classes."""
    assert _keeps_the_level(classes, samples, recall, 1000)


def test_a_matrix_without_mistakes_has_a_spread() -> None:
    """That 60 answers are right does not mean that all are."""
    low, high = f1_intervals(np.diag([10, 20, 30])).macro
    assert 0.8 < low < 0.97
    assert high == 1.0


def test_a_class_that_does_not_occur_changes_nothing() -> None:
    """The averages are over the others."""
    matrix = np.array([[30, 5], [7, 40]])
    wider = np.zeros((3, 3), dtype=np.int64)
    wider[np.ix_([0, 2], [0, 2])] = matrix
    expected, found = f1_intervals(matrix), f1_intervals(wider)
    assert found.macro == pytest.approx(expected.macro)
    assert found.weighted == pytest.approx(expected.weighted)


def test_samples_without_a_class_count_as_mistakes() -> None:
    """They stand in a further column."""
    matrix = np.array([[30, 5], [7, 40]])
    assert f1_intervals(np.column_stack([matrix, [9, 9]])).macro[1] < f1_intervals(matrix).macro[1]


def test_an_empty_matrix_says_nothing() -> None:
    """No sample, no bound."""
    assert f1_intervals(np.zeros((3, 3), dtype=np.int64)).macro == (0.0, 1.0)
