"""How far F1 could be off, from the confusion matrix alone.

Of the m images that are of a class or are taken for it, k are hits: k is binomial with the Jaccard index J as its
probability, and F1 = 2 J / (1 + J). So the F1 of a class has an exact interval, that of J.

F1 is concave in J: a class with few images shows a lower F1 than it has, on average, and the mean over many such
classes is off by more than its standard error. So the averages take an unbiased estimate of a polynomial that is F1 but
for 1e-5, of degree 8 where m allows; the interval is then that of a bounded mean (`bounded_mean`), of what each image
contributes to the average (its influence: P. J. Huber, Robust Statistics, 1981, section 1.4).
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.metrics.binomial import Interval, share_interval
from torchstone_runtime.metrics.bounded_mean import bounded_mean_interval

_DEGREE: Final = 8
_UNKNOWN: Final = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class F1Intervals:
    """95% intervals of F1: the mean over the classes that occur, the mean weighted with their support, each class."""

    macro: Interval
    weighted: Interval
    per_class: tuple[Interval, ...]


def f1_intervals(confusion: Int64Array) -> F1Intervals:
    """Return the intervals of F1.

    Args:
        confusion: int64 [K, K], rows are true classes; without samples every interval is (0, 1), as is that of a class
            that doesn't occur. A further column may hold the samples that got no class.
    """
    true, predicted = np.nonzero(confusion)
    return f1_intervals_of_cells(true, predicted, confusion[true, predicted], len(confusion))


def f1_intervals_of_cells(true: Int64Array, predicted: Int64Array, counts: Int64Array, num_classes: int) -> F1Intervals:
    """Return what `f1_intervals` does, of the filled cells of a matrix, in memory that grows with them.

    Args:
        true: int64 [M], 0 to K - 1.
        predicted: int64 [M], 0 to K - 1, or K for samples that got no class.
        counts: int64 [M], at least 1.
        num_classes: K.
    """
    if not len(counts):
        return F1Intervals(_UNKNOWN, _UNKNOWN, (_UNKNOWN,) * num_classes)
    classes = _Classes(true, predicted, counts.astype(np.float64), num_classes)
    return F1Intervals(_macro(classes), _weighted(classes), tuple(map(_of_class, classes.hits, classes.sizes)))


class _Classes:
    # Per class, float64 [K]: hits, sizes (m), support; per filled cell of the matrix: true, predicted, counts.
    # gain and loss: what a hit and a miss contribute to the estimate of F1, beside its mean.
    # next_gain and next_loss: what one more hit or miss would change.

    def __init__(self, true: Int64Array, predicted: Int64Array, counts: Float64Array, num_classes: int) -> None:
        self.true, self.predicted, self.counts = true, predicted, counts
        hit = true == predicted
        self.hits: Float64Array = np.bincount(true[hit], counts[hit], num_classes).astype(np.float64)
        self.support: Float64Array = np.bincount(true, counts, num_classes).astype(np.float64)
        chosen = np.bincount(predicted, counts, num_classes + 1)[:num_classes]
        self.sizes: Float64Array = self.support + chosen.astype(np.float64) - self.hits
        self.occurs = self.sizes > 0
        self.pooled = float(self.hits.sum() / self.sizes.sum())
        self.f1 = unbiased_f1(self.hits, self.sizes, self.pooled)
        sizes = np.maximum(self.sizes, 1)
        self.gain, self.loss = self._influence(sizes)
        self.plain = _f1(self.hits, sizes)
        self.next_gain = (_f1(self.hits + 1, sizes + 1) - self.plain) * self.occurs
        self.next_loss = (_f1(self.hits, sizes + 1) - self.plain) * self.occurs

    def _influence(self, sizes: Float64Array) -> tuple[Float64Array, Float64Array]:
        # The larger of two: that of the jackknife, whose variance is on average not too small (B. Efron and C. Stein,
        # Annals of Statistics 9, 1981), and that of the derivative, which outweighs what bias one or two images leave.
        share = self.hits / sizes
        without_hit = unbiased_f1(np.maximum(self.hits - 1, 0), sizes - 1, self.pooled)
        without_miss = unbiased_f1(np.minimum(self.hits, sizes - 1), sizes - 1, self.pooled)
        mean = share * without_hit + (1 - share) * without_miss
        scale = np.sqrt((sizes - 1) / sizes)
        share = np.where(sizes > 1, share, self.pooled)
        # The squares of m deviations from their own mean add up to m - 1 variances.
        slope = 2 / (1 + share) ** 2 / np.sqrt(sizes * np.maximum(sizes - 1, 1))
        gain = np.maximum(scale * (mean - without_hit), slope * (1 - share))
        loss = np.minimum(scale * (mean - without_miss), -slope * share)
        return gain * self.occurs, loss * self.occurs

    def of_cells(self, weights: Float64Array) -> Float64Array:
        # What a sample of each cell contributes to the weighted sum of the classes' F1.
        misses = np.append(weights * self.loss, 0.0)  # the last: no class
        return np.where(
            self.true == self.predicted,
            (weights * self.gain)[self.true],
            misses[self.true] + misses[self.predicted],
        )


def _macro(classes: _Classes) -> Interval:
    number = classes.occurs.sum()
    weights = classes.counts.sum() / number * classes.occurs
    center = float(classes.f1[classes.occurs].mean())
    lowest = center + np.sort(weights * classes.next_loss)[:2].sum()
    highest = center + (weights * classes.next_gain).max()
    found = _interval(classes, center + classes.of_cells(weights), center, lowest, highest)
    return _with(float(classes.plain[classes.occurs].mean()), found)


def _weighted(classes: _Classes) -> Interval:
    # A sample's class has, beside the sample, one size less: so the estimate does not depend on the sample itself.
    hit = classes.true == classes.predicted
    hits, sizes = classes.hits[classes.true], classes.sizes[classes.true]
    others = unbiased_f1(hits - hit, sizes - 1, classes.pooled)
    center = float(classes.counts @ others / classes.counts.sum())
    f1 = classes.f1[classes.true]
    values = f1 - classes.counts @ f1 / classes.counts.sum() + classes.of_cells(classes.support)
    drops, gains = classes.support * classes.next_loss, classes.support * classes.next_gain
    lowest = center + (classes.f1 - center + drops)[classes.occurs].min() + drops.min()
    highest = center + (classes.f1 - center + gains)[classes.occurs].max()
    found = _interval(classes, center + values, center, lowest, highest)
    return _with(float(classes.support @ classes.plain / classes.support.sum()), found)


def _with(figure: float, interval: Interval) -> Interval:
    # With a few images per class the figure that is shown is so far from unbiased that it may lie outside.
    return min(interval[0], figure), max(interval[1], figure)


def _interval(classes: _Classes, values: Float64Array, center: float, lowest: float, highest: float) -> Interval:
    values -= float(classes.counts @ (values - center) / classes.counts.sum())
    lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
    if not lowest < highest:
        return center, center
    low, high = bounded_mean_interval(values, classes.counts, lowest, highest)
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


def unbiased_f1(hits: Float64Array, sizes: Float64Array, pooled: float) -> Float64Array:
    """Return estimates of 2 J / (1 + J) whose mean over binomial samples is right.

    Args:
        hits: float64 [K], k.
        sizes: float64 [K], m; the F1 of a class with m = 0 is estimated by that of `pooled`.
        pooled: J of all classes together, about which F1 is taken as linear where m = 1.
    """
    result = np.full(len(hits), 2 * pooled / (1 + pooled)) + np.where(
        sizes == 1, 2 / (1 + pooled) ** 2 * (hits - pooled), 0.0
    )
    for degree in range(2, _DEGREE + 1):
        chosen = sizes >= degree if degree == _DEGREE else sizes == degree
        k, m = hits[chosen], sizes[chosen]
        power = np.ones(len(k))  # the unbiased estimate of J**order
        result[chosen] = 0.0
        for order, coefficient in enumerate(_polynomial(degree)):
            result[chosen] += coefficient * power
            power *= (k - order) / np.maximum(m - order, 1)
    return result


@cache
def _polynomial(degree: int) -> Float64Array:
    # Through 2 x / (1 + x) at the extrema of Chebyshev's polynomial, which include 0 and 1.
    x = (1 - np.cos(np.linspace(0, np.pi, degree + 1))) / 2
    return np.linalg.solve(np.vander(x, increasing=True), _f1(x, 1.0)).astype(np.float64)


def _f1(hits: Float64Array, sizes: Float64Array | float) -> Float64Array:
    found: Float64Array = 2 * hits / (hits + sizes)
    return found


def _of_class(hits: float, size: float) -> Interval:
    low, high = share_interval(int(hits), int(size))
    return 2 * low / (1 + low), 2 * high / (1 + high)
