"""Timing that can be trusted: interleaved rounds, and intervals that assume nothing about the noise.

Whatever is to be compared is measured in the same process in turns, so that other load on the machine meets both
sides alike. Intervals are those of order statistics: the number of samples below the true quantile is binomial,
whatever their distribution (H. A. David and H. N. Nagaraja, Order Statistics, 3rd edition, section 7.1). For the
median of paired ratios that is the interval of the sign test. Calls that follow each other are not independent:
where calls are pooled, the interval is widened to that of a bootstrap over whole rounds (`quantile_over_rounds`).
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.progress import stage

DEFAULT_ROUNDS: Final = 15
NOISE_CONFIDENCE: Final = 0.99
"""Confidence of the interval that must hold 1 where the same thing is measured twice: 1 idle machine in 100 fails."""
NOISE_LIMIT: Final = 1.2
"""Largest accepted quotient of that interval's ends: beyond it a fifth more or less could not be seen."""
_PAUSE: Final = 0.02
_MAX_CALLS: Final = 10_000
_RESAMPLES: Final = 999


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """A figure with its confidence interval; an end is None where there are too few samples to bound it."""

    value: float
    low: float | None
    high: float | None

    def scaled(self, factor: float) -> "TimeEstimate":
        """Return the estimate times a positive factor."""
        return TimeEstimate(self.value * factor, _times(self.low, factor), _times(self.high, factor))

    def inverse(self, numerator: float = 1.0) -> "TimeEstimate":
        """Return `numerator` (positive) divided by the estimate; the ends change places."""
        return TimeEstimate(numerator / self.value, _over(numerator, self.high), _over(numerator, self.low))

    def to_json(self) -> dict[str, float | None]:
        """Return the estimate as JSON data."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, eq=False, slots=True)
class TimeComparison:
    """Two callables measured in turns.

    Attributes:
        first: seconds of each call, float64 [rounds, calls].
        second: seconds of each call, float64 [rounds, calls]; the number of calls may differ, that of rounds does not.
        ratio: median over the rounds of first's time divided by second's, with its sign-test interval.
    """

    first: Float64Array
    second: Float64Array
    ratio: TimeEstimate


def compare(
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    rounds: int = DEFAULT_ROUNDS,
    seconds: float = 0.1,
    confidence: float = 0.95,
) -> TimeComparison:
    """Measure two callables in interleaved rounds.

    Args:
        first: call that is measured.
        second: call that it is compared with.
        rounds: number of rounds; 6 or more give a bounded interval at 95%.
        seconds: about how long each side runs in each round; at least one call.
        confidence: confidence of the ratio's interval, 0 to 1.
    """
    with stage("measuring the speed", rounds, "rounds") as done:
        one, other = interleave([first, second], rounds=rounds, seconds=seconds, done=done)
    return TimeComparison(one, other, paired_ratio(one, other, confidence))


def interleave(
    arms: Sequence[Callable[[], object]],
    *,
    rounds: int = DEFAULT_ROUNDS,
    seconds: float = 0.1,
    pause: float = _PAUSE,
    seed: int = 0,
    done: Callable[[int], None] = lambda _: None,
) -> list[Float64Array]:
    """Time callables in turns: in every round each has one, in an order that is drawn anew.

    Each is called at least twice beforehand, untimed, to warm up and to see how many calls fill `seconds`. Before
    every turn come `pause` seconds of sleep and, where a turn has several calls, an untimed one: the threads of other
    libraries spin for a while after their work, and would slow down whoever comes next. `done` is called with 1 after
    each round.

    Returns:
        Seconds of each call, float64 [rounds, calls], for each callable.
    """
    calls = [_calls_within(arm, seconds) for arm in arms]
    times = [np.empty((rounds, count)) for count in calls]
    order = list(range(len(arms)))
    shuffle = random.Random(seed).shuffle  # noqa: S311 - an order, not a secret
    for turn in range(rounds):
        shuffle(order)
        for index in order:
            time.sleep(pause)
            if calls[index] > 1:
                arms[index]()
            times[index][turn] = _time_calls(arms[index], calls[index])
        done(1)
    return times


def paired_ratio(first: Float64Array, second: Float64Array, confidence: float = 0.95) -> TimeEstimate:
    """Return the median over rounds of first's median time divided by second's, with its sign-test interval.

    Args:
        first: seconds, float64 [rounds, calls].
        second: seconds, float64 [rounds, calls], of the same rounds.
        confidence: confidence of the interval, 0 to 1.
    """
    ratios = np.median(first, axis=1) / np.median(second, axis=1)
    return quantile(ratios, 0.5, confidence)


def is_too_noisy(same: TimeEstimate) -> bool:
    """Whether the ratio of two measurements of the same thing says that the machine is too busy to measure on.

    Args:
        same: ratio of the two measurements, from `paired_ratio` at `NOISE_CONFIDENCE`.
    """
    if same.low is None or same.high is None:
        return True
    return not same.low <= 1 <= same.high or same.high / same.low > NOISE_LIMIT


def quantile(samples: npt.ArrayLike, share: float, confidence: float = 0.95) -> TimeEstimate:
    """Estimate a quantile with its order-statistic interval.

    Args:
        samples: values of any shape, at least one.
        share: 0.5 for the median, 0.99 for p99.
        confidence: least probability that the interval holds the true quantile.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64), axis=None)
    low, high = _ranks(ordered.size, share, confidence)
    return TimeEstimate(
        float(np.quantile(ordered, share)),
        float(ordered[low]) if low >= 0 else None,
        float(ordered[high]) if high < ordered.size else None,
    )


def quantile_over_rounds(times: Float64Array, share: float, confidence: float = 0.95) -> TimeEstimate:
    """Estimate a quantile of calls that were made in rounds.

    The interval is the wider, at each end, of the order-statistic one over all calls and a percentile bootstrap that
    draws whole rounds (B. Efron and R. Tibshirani, An Introduction to the Bootstrap, chapter 13), seeded.

    Args:
        times: seconds of each call, float64 [rounds, calls].
        share: 0.5 for the median, 0.99 for p99.
        confidence: confidence of the interval, 0 to 1.
    """
    over_calls = quantile(times, share, confidence)
    low, high = np.quantile(_resampled(times, share), [(1 - confidence) / 2, (1 + confidence) / 2])
    return TimeEstimate(
        over_calls.value,
        None if over_calls.low is None else min(over_calls.low, float(low)),
        None if over_calls.high is None else max(over_calls.high, float(high)),
    )


def _resampled(times: Float64Array, share: float) -> Float64Array:
    rounds, calls = times.shape
    order = np.argsort(times, axis=None)
    ordered, round_of = times.ravel()[order], order // calls
    draws = np.random.RandomState(0).multinomial(rounds, np.full(rounds, 1 / rounds), size=_RESAMPLES)
    target = max(1, np.ceil(share * times.size))
    return np.array([ordered[np.searchsorted(np.cumsum(weights[round_of]), target)] for weights in draws])


def _ranks(count: int, share: float, confidence: float) -> tuple[int, int]:
    """Return the zero-based positions of the interval's ends; -1 and `count` where there is none.

    B of `count` samples lie at or below the quantile, B binomial: position i (from 0) is at most the quantile unless
    B <= i, and at least it unless B > i.
    """
    cumulated = np.cumsum(_binomial(count, share))
    tail = (1 - confidence) / 2
    low = int(np.searchsorted(cumulated, tail, side="right")) - 1
    high = int(np.searchsorted(cumulated, 1 - tail, side="left"))
    return low, min(high, count)


def _binomial(count: int, share: float) -> Float64Array:
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    below = np.arange(count + 1)
    log_ways = logs[count] - logs[below] - logs[count - below]
    probabilities: Float64Array = np.exp(log_ways + below * np.log(share) + (count - below) * np.log1p(-share))
    return probabilities


def _calls_within(arm: Callable[[], object], seconds: float) -> int:
    arm()
    took = _time_calls(arm, 1)[0]
    if took * 8 < seconds:
        took = float(np.median(_time_calls(arm, 7)))
    return max(1, min(_MAX_CALLS, round(seconds / max(took, 1e-9))))


def _time_calls(arm: Callable[[], Any], calls: int) -> list[float]:
    clock = time.perf_counter
    times = []
    for _ in range(calls):
        started = clock()
        arm()
        times.append(clock() - started)
    return times


def _times(end: float | None, factor: float) -> float | None:
    return None if end is None else end * factor


def _over(numerator: float, end: float | None) -> float | None:
    return None if end is None else numerator / end
