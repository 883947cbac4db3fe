"""Bounds that hold for a threshold chosen on the samples that judge it."""

import math

import numpy as np
import pytest
from scipy import stats

from torchstone_runtime.metrics.chosen_threshold import chosen_precision_interval, coverage_interval, single_level
from torchstone_runtime.metrics.selective import SelectiveCurve

SURE = np.linspace(0, 1, 20_001)[1:]


def draw(generator: np.random.Generator, samples: int) -> SelectiveCurve:
    """Return a curve of samples whose place among all is even, and whose precision falls from 1 to 0.6."""
    place = generator.random(samples)
    return SelectiveCurve(1 - place, generator.random(samples) < 1 - 0.4 * place**3)


@pytest.mark.parametrize(("samples", "required"), [(300, 0.9), (2000, 0.95), (2000, 0.99)])
def test_the_largest_coverage_of_the_population_is_held(samples: int, required: float) -> None:
    """Each end misses in at most 3.5% of 400 draws."""
    precision = np.cumsum(1 - 0.4 * SURE**3) / np.arange(1, len(SURE) + 1)
    truth = SURE[np.flatnonzero(precision >= required)[-1]]
    generator = np.random.default_rng(4)
    intervals = np.array([draw(generator, samples).coverage_interval(required) for _ in range(400)])
    assert (intervals[:, 0] > truth).mean() <= 0.035
    assert (intervals[:, 1] < truth).mean() <= 0.035


def test_no_coverage_is_claimed_where_the_precision_is_never_reached() -> None:
    """Every threshold has 97.9%; some sample of 1,000 shows 98% by luck: at most 3.5% claim a coverage above 0."""
    generator = np.random.default_rng(5)
    curves = [SelectiveCurve(generator.random(1000), generator.random(1000) < 0.979) for _ in range(400)]
    assert np.mean([curve.at_precision(0.98).coverage > 0.3 for curve in curves]) > 0.4
    assert np.mean([curve.coverage_interval(0.98)[0] > 0 for curve in curves]) <= 0.035


def test_the_precision_at_the_chosen_threshold_is_held() -> None:
    """That which other samples have there: each end misses in at most 3.5% of 400 draws."""
    generator = np.random.default_rng(6)
    misses = np.zeros(2)
    for _ in range(400):
        point = draw(generator, 1000).at_precision(0.95)
        place = 1 - float(point.threshold or 1.0)
        truth = 1 - 0.1 * place**3  # the mean of 1 - 0.4 x**3 up to there
        misses += [point.interval[0] > truth, point.interval[1] < truth]
    assert (misses <= 0.035 * 400).all()


@pytest.mark.parametrize("seed", range(5))
def test_a_lower_end_above_0_is_a_threshold_that_a_binomial_test_shows(seed: int) -> None:
    """With SciPy's distribution, tried at every k."""
    generator = np.random.default_rng(seed)
    wrong = np.cumsum(generator.random(500) > 0.97, dtype=np.int64)
    samples = np.arange(1, 501)
    level = 0.02
    for _ in range(50):
        level = single_level(0.02, math.log(500 / (math.log(level) / math.log(0.95))))
    shown = samples[stats.binom.cdf(wrong, samples, 0.05) <= level]
    last = int(shown[-1]) if len(shown) else 0
    expected = stats.binomtest(last, 500).proportion_ci(0.99, "exact").low
    assert coverage_interval(wrong, samples, 0.95)[0] == pytest.approx(expected, rel=1e-6)


def test_perfect_precision_is_never_shown() -> None:
    """However many answers are right, all of them being right is not."""
    assert coverage_interval(np.zeros(100, dtype=np.int64), np.arange(1, 101), 1.0) == (0.0, 1.0)


def test_nothing_is_known_without_samples() -> None:
    """Every coverage is possible."""
    assert coverage_interval(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 0.9) == (0.0, 1.0)


def test_one_test_needs_no_correction() -> None:
    """A stretch of length 0 is one test; a longer one is made at a smaller level."""
    assert single_level(0.02, 0.0) == pytest.approx(0.02)
    assert single_level(0.02, 3.0) < single_level(0.02, 1.0) < 0.02


def test_a_precision_that_chose_its_threshold_is_less_certain() -> None:
    """Its interval is wider than one of a threshold that was given."""
    low, high = chosen_precision_interval(95, 100)
    exact = stats.binomtest(95, 100).proportion_ci(0.95, "exact")
    assert low < exact.low < exact.high < high
