"""The exact intervals of a share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from torchstone_runtime.metrics.binomial import share_interval, unseen_rate

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


@settings(deadline=None)
@given(CASES, st.sampled_from([0.9, 0.95, 0.999]))
def test_the_unseen_rate_is_scipys_one_sided_bound(case: tuple[int, int], confidence: float) -> None:
    """The upper end of the exact interval of the test for a smaller share."""
    expected = stats.binomtest(*case, alternative="less").proportion_ci(confidence, "exact").high
    assert unseen_rate(*case, confidence) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("trials", [1, 100, 22_000, 10**12])
def test_without_an_event_the_unseen_rate_has_a_closed_form(trials: int) -> None:
    """Some 3 / n; also of so many trials that 1 - x would lose all digits."""
    assert (1 - unseen_rate(0, trials)) ** trials == pytest.approx(0.05, rel=1e-3)
    assert unseen_rate(0, trials) == pytest.approx(-np.expm1(np.log(0.05) / trials), rel=1e-12)


def test_the_unseen_rate_of_no_trials_or_of_events_alone_is_one() -> None:
    """Nothing is excluded."""
    assert (unseen_rate(0, 0), unseen_rate(7, 7)) == (1.0, 1.0)


@given(st.integers(0, 40), st.integers(1, 40), st.integers(1, 40))
def test_more_trials_without_an_event_lower_the_bound_and_more_events_raise_it(
    events: int, more: int, further: int
) -> None:
    """A certificate over more images says more, and one with more flips less."""
    trials = events + more
    assert unseen_rate(events, trials + further) < unseen_rate(events, trials)
    assert unseen_rate(events + 1, trials + 1) >= unseen_rate(events, trials + 1)
