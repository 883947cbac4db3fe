"""Exact intervals of a share of samples (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934).

Each end lies beyond the truth with a probability of at most half of what the interval leaves, for every true share and
every number of samples. Score intervals such as Wilson's are narrower, but near 0 and 1 one of their ends misses far
more often: docs/explanation/intervals.md states how often.
"""

import math
from functools import lru_cache
from typing import Final

Interval = tuple[float, float]

ONE_SIDED: Final = 0.025
"""How often each end of a 95% interval may miss."""

_MOST_STEPS: Final = 200
_MOST_TERMS: Final = 100_000
_TINY: Final = 1e-300
_PRECISE: Final = 1e-14


def share_interval(successes: int, trials: int, one_sided: float = ONE_SIDED) -> Interval:
    """Return the Clopper-Pearson interval of a share.

    Args:
        successes: 0 to `trials`.
        trials: any number; without any the interval is (0, 1).
        one_sided: probability that an end of the interval misses the truth; by default the interval holds it
            in 95% of the cases.
    """
    return lower_bound(successes, trials, one_sided), upper_bound(successes, trials, one_sided)


def lower_bound(successes: int, trials: int, one_sided: float = ONE_SIDED) -> float:
    """Return the lower end alone: the share with which so many successes or more are seen that rarely."""
    return _beta_quantile(one_sided, successes, trials - successes + 1) if successes else 0.0


def upper_bound(successes: int, trials: int, one_sided: float = ONE_SIDED) -> float:
    """Return the upper end alone: the share with which so few successes or fewer are seen that rarely."""
    return 1.0 - lower_bound(trials - successes, trials, one_sided)


def unseen_rate(events: int, trials: int, confidence: float = 0.95) -> float:
    """Return the largest share of events that is compatible with what was seen: an exact one-sided bound.

    With that share or a larger one, so few events or fewer are seen in at most `1 - confidence` of all samples of so
    many trials (C. J. Clopper and E. S. Pearson, 1934). Without any event it is `1 - (1 - confidence) ** (1 / trials)`,
    some 3 / `trials` at 95%.

    Args:
        events: number of events, 0 to `trials`.
        trials: number of trials drawn at random, any number; without any the bound is 1.
        confidence: share of the samples in which the bound holds, 0 to 1.
    """
    if trials == 0:
        return 1.0
    if events == 0:  # exact where 1 - x would lose what is left of x
        return -math.expm1(math.log1p(-confidence) / trials)
    return upper_bound(events, trials, 1 - confidence)


@lru_cache(maxsize=1 << 16)
def _beta_quantile(probability: float, a: int, b: int) -> float:
    # Newton's method, kept inside of a bracket that each step narrows.
    low, high = 0.0, 1.0
    mean = a / (a + b)
    point = min(max(mean - 2 * math.sqrt(mean * (1 - mean) / (a + b + 1)), mean / 8), 1 - 1e-9)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(_MOST_STEPS):
        excess = _beta_cdf(point, a, b, scale) - probability
        low, high = (low, point) if excess > 0 else (point, high)
        density = math.exp(scale + (a - 1) * math.log(point) + (b - 1) * math.log1p(-point))
        following = point - excess / density if density > _TINY else -1.0
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - point) <= _PRECISE * point:
            return following
        point = following
    return point


def _beta_cdf(x: float, a: int, b: int, scale: float) -> float:
    factor = math.exp(scale + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return factor * _continued_fraction(x, a, b) / a
    return 1 - factor * _continued_fraction(1 - x, b, a) / b


def _continued_fraction(x: float, a: int, b: int) -> float:
    # Of the incomplete beta function (DLMF 8.17.22), by the modified algorithm of Lentz.
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > _TINY else _TINY)
    result = d
    for m in range(1, _MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 + term * d, 1 + term / c
            d, c = 1 / (d if abs(d) > _TINY else _TINY), (c if abs(c) > _TINY else _TINY)
            result *= d * c
        if abs(d * c - 1) < _PRECISE:
            break
    return result
