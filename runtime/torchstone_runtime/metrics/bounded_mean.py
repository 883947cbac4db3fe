"""Intervals of the mean of a bounded quantity, however skewed.

Where mistakes are rare and cost much, as in the log loss of a good model, a sample's mean and standard error say
little: the mistakes that weigh most may not have been seen. So one value is added to the sample, the largest possible
one for the upper end and the smallest possible one for the lower end, and the end is a quantile of the mean under
random weights of the values, those of the Bayesian bootstrap, Dirichlet(1, ..., 1).

That is the interval of N. Gaffke ("Three test statistics for a nonparametric one-sided hypothesis on the mean of a
nonnegative variable", Mathematical Methods of Statistics 14, 2005) and of E. Learned-Miller and P. S. Thomas ("A new
confidence interval for the mean of a bounded random variable", arXiv 1905.06208). Of values that are 0 or 1 it is the
interval of Clopper and Pearson.
"""

import math
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.metrics.binomial import ONE_SIDED, Interval

_BISECTIONS: Final = 48
_NEAR_THE_MEAN: Final = 1e-4
_AT_THE_BOUND: Final = 1 - 1e-12


def bounded_mean_interval(values: Float64Array, counts: Float64Array, lowest: float, highest: float) -> Interval:
    """Return the 95% interval of a mean.

    Args:
        values: float64 [G], each from `lowest` to `highest`.
        counts: float64 [G], number of samples that have each of the values.
        lowest: smallest possible value, below `highest`.
        highest: largest possible value.
    """
    scaled = np.clip((values - lowest) / (highest - lowest), 0.0, 1.0)
    low, high = 1 - _upper_end(1 - scaled, counts), _upper_end(scaled, counts)
    return lowest + (highest - lowest) * low, lowest + (highest - lowest) * high


def _upper_end(values: Float64Array, counts: Float64Array) -> float:
    # Values from 0 to 1. The weights' parameter 1 / (1 - tilt * value) has the mean as an increasing function.
    values, counts = np.append(values, 1.0), np.append(counts, 1.0)
    if values.min() > _AT_THE_BOUND:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _tail(values, counts, middle)[1] > ONE_SIDED:
            low = middle
        else:
            high = middle
    return _tail(values, counts, high)[0]


def _tail(values: Float64Array, counts: Float64Array, tilt: float) -> tuple[float, float]:
    # The mean that belongs to a tilt (0 to 1), and the probability that randomly weighted values have a larger one:
    # the saddlepoint approximation of R. Lugannani and S. Rice, Advances in Applied Probability 12, 1980, of the event
    # that a sum of exponentially distributed weights times (value - mean) is positive.
    weights = counts / (1 - tilt * values)
    mean = float(weights @ values / weights.sum())
    slope = tilt / (1 - tilt * mean)
    inside = 1 - slope * (values - mean)
    exponent = -float(counts @ np.log(inside))
    spread = float(counts @ ((values - mean) / inside) ** 2)
    r, u = math.sqrt(max(0.0, -2 * exponent)), slope * math.sqrt(spread)
    if r < _NEAR_THE_MEAN:
        return mean, 0.5
    tail = math.erfc(r / math.sqrt(2)) / 2 + math.exp(-r * r / 2) / math.sqrt(2 * math.pi) * (1 / u - 1 / r)
    return mean, tail
