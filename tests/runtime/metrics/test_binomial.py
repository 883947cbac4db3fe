"""The exact intervals of a share."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from torchstone_runtime.metrics.binomial import share_interval

CASES = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(CASES, st.sampled_from([0.95, 0.975, 0.999]))
def test_it_is_scipys_clopper_pearson_interval(case: tuple[int, int], confidence: float) -> None:
    """For any counts and levels."""
    expected = stats.binomtest(*case).proportion_ci(confidence, "exact")
    assert share_interval(*case, (1 - confidence) / 2) == pytest.approx((expected.low, expected.high), rel=1e-8)


@settings(deadline=None)
@given(CASES)
def test_it_contains_the_share_and_mirrors(case: tuple[int, int]) -> None:
    """It lies in 0 to 1, around the share; counting failures instead of successes mirrors it."""
    successes, trials = case
    low, high = share_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    assert share_interval(trials - successes, trials) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_no_trials_exclude_nothing() -> None:
    """Every share is possible."""
    assert share_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("trials", [1, 5, 30, 200])
def test_neither_end_misses_more_often_than_it_may(trials: int) -> None:
    """By enumeration, for shares from 0.001 to 0.999: each end misses in at most 2.5% of all samples."""
    intervals = [share_interval(count, trials) for count in range(trials + 1)]
    for permille in range(1, 1000):
        share = permille / 1000
        chances = stats.binom.pmf(range(trials + 1), trials, share)
        assert sum(chance for chance, (low, _) in zip(chances, intervals, strict=True) if low > share) <= 0.025 + 1e-9
        assert sum(chance for chance, (_, high) in zip(chances, intervals, strict=True) if high < share) <= 0.025 + 1e-9
