import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from torchstone_runtime.benchmark.timing import (
    TimeEstimate,
    compare,
    interleave,
    is_too_noisy,
    paired_ratio,
    quantile,
    quantile_over_rounds,
)


@settings(deadline=None)
@given(
    count=st.integers(1, 400),
    share=st.sampled_from([0.5, 0.9, 0.99]),
    confidence=st.sampled_from([0.9, 0.95, 0.99]),
)
def test_an_interval_is_the_narrowest_that_the_binomial_allows(count: int, share: float, confidence: float) -> None:
    """Each end's own error stays below half of what is allowed, and the next sample inward would exceed it."""
    estimate = quantile(np.arange(count), share, confidence)
    tail = (1 - confidence) / 2
    below = stats.binom(count, share)
    low = -1 if estimate.low is None else int(estimate.low)
    high = count if estimate.high is None else int(estimate.high)

    assert below.cdf(low) <= tail + 1e-12
    assert below.cdf(low + 1) > tail - 1e-12
    assert below.sf(high) <= tail + 1e-12
    assert below.sf(high - 1) > tail - 1e-12


def test_too_few_samples_leave_an_end_open() -> None:
    """Five samples bound no median at 95%, six do; 100 samples can't bound a p99 from above."""
    assert quantile(range(5), 0.5) == TimeEstimate(2, None, None)
    assert quantile(range(6), 0.5) == TimeEstimate(2.5, 0, 5)
    assert quantile(range(100), 0.99).high is None


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_intervals_hold_the_true_quantile_as_often_as_they_say(share: float) -> None:
    """Of 2,000 intervals over 60 lognormal samples at 90%, between 88% and 97% hold it: discrete, so a little more."""
    samples = np.random.RandomState(0).lognormal(size=(2000, 60))
    truth = stats.lognorm(1).ppf(share)
    estimates = [quantile(row, share, 0.9) for row in samples]
    held = np.mean([(e.low or 0) <= truth <= (e.high or np.inf) for e in estimates])

    assert 0.88 <= held <= 0.97


def test_rounds_that_differ_widen_the_interval_over_calls() -> None:
    """Calls of one round are alike: many of them must not make a median of three unlike rounds look certain."""
    times = np.array([[1.0] * 1000, [2.0] * 1000, [3.0] * 1000])

    assert quantile(times, 0.5).low == 2.0
    assert quantile_over_rounds(times, 0.5) == TimeEstimate(2.0, 1.0, 3.0)


def test_a_ratio_ignores_rounds_in_which_the_machine_was_slow() -> None:
    """Load that meets both sides of a round cancels."""
    load = np.array([1, 1, 7, 1, 30, 2, 1, 1, 5, 1])[:, None]
    ratio = paired_ratio(np.full((10, 4), 3.0) * load, np.full((10, 2), 2.0) * load)

    assert ratio == TimeEstimate(1.5, 1.5, 1.5)


def test_a_ratio_is_taken_round_by_round() -> None:
    """Three rounds of ten in which one side was hit alone don't move it, though the pooled medians are as 0.97 to 1."""
    load = np.arange(1.0, 11.0)[:, None]
    hit = np.where(np.arange(10) < 3, 10.0, 1.0)[:, None]

    assert paired_ratio(3 * load, 2 * load * hit).value == pytest.approx(1.5)


def test_every_arm_has_one_turn_in_each_round() -> None:
    """The order changes, and no arm follows itself in a round."""
    seen: list[str] = []

    def arm(name: str) -> Callable[[], None]:
        return lambda: seen.append(name)

    times = interleave([arm("a"), arm("b"), arm("c")], rounds=20, seconds=0)
    turns = [tuple(seen[len(seen) - 60 :][start : start + 3]) for start in range(0, 60, 3)]

    assert [item.shape for item in times] == [(20, 1)] * 3
    assert all(sorted(turn) == ["a", "b", "c"] for turn in turns)
    assert len(set(turns)) > 1


def test_the_ratio_of_two_sleeps_is_found() -> None:
    """What takes twice as long is twice as slow, within what a busy machine allows."""
    ratio = compare(lambda: time.sleep(0.02), lambda: time.sleep(0.01), rounds=8, seconds=0.02).ratio

    assert 1.3 < ratio.value < 2.7


@pytest.mark.parametrize(
    ("same", "noisy"),
    [
        (TimeEstimate(1.0, 0.99, 1.01), False),
        (TimeEstimate(1.05, 1.01, 1.09), True),
        (TimeEstimate(0.95, 0.9, 0.99), True),
        (TimeEstimate(1.0, 0.8, 1.2), True),
        (TimeEstimate(1.0, None, 1.01), True),
    ],
)
def test_two_measurements_of_the_same_thing_must_agree_closely(same: TimeEstimate, noisy: bool) -> None:
    """Too noisy: an interval without 1 in it, one too wide to be of use, or none."""
    assert is_too_noisy(same) is noisy


def test_inverting_an_estimate_swaps_its_ends() -> None:
    """Seconds a call become calls a second; an open end stays open."""
    assert TimeEstimate(2.0, 1.0, 4.0).inverse(8) == TimeEstimate(4.0, 2.0, 8.0)
    assert TimeEstimate(2.0, 1.0, None).inverse() == TimeEstimate(0.5, None, 1.0)
