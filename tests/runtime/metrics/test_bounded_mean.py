"""The intervals of means of bounded quantities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.metrics.binomial import share_interval
from torchstone_runtime.metrics.bounded_mean import bounded_mean_interval


@settings(deadline=None)
@given(st.integers(1, 10**5).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_of_zeros_and_ones_it_is_the_interval_of_a_share(case: tuple[int, int]) -> None:
    """To 5% of the distance from the nearer bound: the tail is approximated."""
    ones, total = case
    counts = np.array([total - ones, ones], dtype=np.float64)
    found = bounded_mean_interval(np.array([0.0, 1.0])[counts > 0], counts[counts > 0], 0.0, 1.0)
    for end, expected in zip(found, share_interval(ones, total), strict=True):
        assert min(end, 1 - end) == pytest.approx(min(expected, 1 - expected), rel=0.06, abs=1e-12)


@pytest.mark.parametrize("largest", [3.0, 16.0])
def test_an_end_is_the_quantile_of_randomly_weighted_means(largest: float) -> None:
    """Drawn from the Dirichlet distribution, with the largest (smallest) possible value as one more."""
    generator = np.random.default_rng(1)
    values = np.minimum(generator.exponential(0.25, 60), largest)
    drawn = [generator.dirichlet(np.ones(61), 20_000) @ np.append(values, extra) for extra in (0.0, largest)]
    expected = np.quantile(drawn[0], 0.025), np.quantile(drawn[1], 0.975)
    assert bounded_mean_interval(values, np.ones(60), 0.0, largest) == pytest.approx(expected, rel=0.02)


def test_equal_values_count_as_often_as_they_occur() -> None:
    """Counts and repeated values give the same interval."""
    values, counts = np.array([0.1, 0.4, 2.0]), np.array([5.0, 3.0, 1.0])
    repeated = np.repeat(values, counts.astype(int))
    expected = bounded_mean_interval(repeated, np.ones(9), 0.0, 2.0)
    assert bounded_mean_interval(values, counts, 0.0, 2.0) == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(0, 2), min_size=1, max_size=60))
def test_it_holds_the_mean_and_stays_within_the_bounds(values: list[float]) -> None:
    """Whatever the values."""
    low, high = bounded_mean_interval(np.array(values), np.ones(len(values)), 0.0, 2.0)
    assert 0 <= low <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= high <= 2


def test_rare_large_values_that_were_not_seen_are_allowed_for() -> None:
    """2 of 1,000 cost 12, the others 0.02: in 500 draws of 300, each end misses in at most 3.5%."""
    generator = np.random.default_rng(2)
    truth, misses = 0.002 * 12 + 0.998 * 0.02, np.zeros(2)
    for _ in range(500):
        rare = generator.binomial(300, 0.002)
        counts = np.array([300.0 - rare, rare])
        low, high = bounded_mean_interval(np.array([0.02, 12.0]), counts, 0.0, 15.95)
        misses += [low > truth, high < truth]
    assert (misses <= 0.035 * 500).all()
