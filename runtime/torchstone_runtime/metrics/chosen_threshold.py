"""Bounds that hold although a threshold was chosen on the samples that judge it.

The k samples of highest confidence, k = 1 to N, are looked at one after the other. Of each k the number of mistakes is
binomial, where the threshold is given beforehand; where the most favourable k is picked, one test is made of many. The
standardised number of mistakes, in the time ln k, is nearly an Ornstein-Uhlenbeck process of correlation exp(-|t| / 2);
over a stretch of length T it exceeds a high z with the probability 1 - Phi(z) + T z phi(z) / 2 (J. Pickands,
Transactions of the American Mathematical Society 145, 1969). Each single test is made at the level of that z.
"""

import math
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.metrics.binomial import Interval, lower_bound, share_interval, upper_bound

_OF_PRECISION: Final = 0.02
_OF_COVERAGE: Final = 0.005
"""How the 0.025 that an end may miss are shared between precision and coverage."""

_OF_CHOSEN: Final = 0.0125
"""The level of each end of the precision at a threshold chosen by the precisions seen. The precision seen is then close
to the required one, and only within a factor of about e of the k chosen could another k have had it: that doubles the
misses, no more (measured, benchmarks/intervals/coverage.py)."""

_BISECTIONS: Final = 60


def single_level(level: float, stretch: float) -> float:
    """Return the level at which one test is made, so that all of them together hold `level`.

    Args:
        level: 0 to 0.5.
        stretch: T, the logarithm of the largest k divided by the smallest.
    """
    low, high = 0.0, 40.0
    for _ in range(_BISECTIONS):
        z = (low + high) / 2
        crossing = stretch * z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi) / 2
        low, high = (z, high) if _normal_tail(z) + crossing > level else (low, z)
    return _normal_tail(high)


def coverage_interval(wrong: Int64Array, ends: Int64Array, required: float) -> Interval:
    """Return the 95% interval of the largest coverage at which a population's precision is at least `required`.

    Below its lower end a threshold is shown to have that precision; beyond its upper end none can be that isn't shown
    not to have it. The end also allows for the chance of how many samples lie above the threshold.

    Args:
        wrong: int64 [N], mistakes among the 1, 2, ..., N samples of highest confidence.
        ends: int64 [T], the numbers of samples that a threshold can part from the rest, ascending.
        required: more than 0, at most 1.
    """
    total = len(wrong)
    if not total:
        return 0.0, 1.0
    few, many = (tail[ends - 1] for tail in _tails(wrong, 1 - required))
    shown = np.flatnonzero(few <= _level_of_all(required, total))
    possible = np.flatnonzero(many > _OF_PRECISION)
    low = lower_bound(int(ends[shown[-1]]), total, _OF_COVERAGE) if len(shown) else 0.0
    high = upper_bound(int(ends[possible[-1]]) if len(possible) else 0, total, _OF_COVERAGE)
    return low, high


def chosen_precision_interval(right: int, answered: int) -> Interval:
    """Return the 95% interval of the precision at a threshold that was chosen by the precisions seen.

    Args:
        right: 0 to `answered`.
        answered: samples at or above the threshold.
    """
    return share_interval(right, answered, _OF_CHOSEN)


def _level_of_all(required: float, total: int) -> float:
    # With fewer than `least` samples not even perfect answers show the precision: those k are no tests.
    level = _OF_PRECISION
    for _ in range(_BISECTIONS):
        least = max(1.0, math.log(level) / math.log(required)) if required < 1 else total
        following = single_level(_OF_PRECISION, max(0.0, math.log(total / least)))
        if abs(following - level) < 1e-9:  # noqa: PLR2004 - far below what matters
            break
        level = following
    return level


def _tails(wrong: Int64Array, rate: float) -> tuple[Float64Array, Float64Array]:
    # The probabilities of so few mistakes or fewer, and of so many or more, of k = 1 to N samples.
    if rate <= 0:
        return np.ones(len(wrong)), (wrong == 0).astype(np.float64)
    samples = np.arange(1, len(wrong) + 1)
    exactly = _binomial(samples, wrong, rate)
    before = np.append(1.0, exactly[:-1])
    # One sample more: fewer of those with as many mistakes before; if it is a mistake itself, one number more counts.
    mistake = np.diff(wrong, prepend=0)
    few = np.clip(1 + np.cumsum(mistake * exactly - rate * before), 0.0, 1.0)
    return few, np.clip(1 - few + exactly, 0.0, 1.0)


def _binomial(samples: Int64Array, wrong: Int64Array, rate: float) -> Float64Array:
    logs = np.append(0.0, np.cumsum(np.log(samples)))  # of the factorials of 0 to N
    found: Float64Array = np.exp(
        logs[samples]
        - logs[wrong]
        - logs[samples - wrong]
        + wrong * math.log(rate)
        + (samples - wrong) * (math.log1p(-rate) if rate < 1 else -math.inf)
    )
    return found


def _normal_tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2
