"""How far F1 could be off, from the confusion matrix alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.metrics import Float64Array, Int64Array

RESAMPLES: Final = 2000
_SEED: Final = 0
_CHUNK_CELLS: Final = 1_000_000
_BLOCK: Final = 256
_ENDS: Final = (0.025, 0.975)

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class F1Intervals:
    """95% intervals of the mean F1 over the classes, of that weighted with their support, and of each class's."""

    macro: Interval
    weighted: Interval
    per_class: tuple[Interval, ...]


def f1_intervals(confusion: Int64Array, resamples: int = RESAMPLES) -> F1Intervals:
    """Return percentile bootstrap intervals (B. Efron, Annals of Statistics 7, 1979).

    To draw N samples with replacement is to draw the confusion matrix's cells from a multinomial distribution, so the
    samples themselves aren't needed. The same matrix gives the same intervals: the seed is fixed.

    Args:
        confusion: int64 [K, K], rows are true classes; without samples every interval is (0, 1). A further column may
            hold the samples that got no class.
        resamples: how often the matrix is drawn.
    """
    true, predicted = np.nonzero(confusion)
    return intervals_of_cells(true, predicted, confusion[true, predicted], len(confusion), resamples)


def intervals_of_cells(
    true: Int64Array, predicted: Int64Array, counts: Int64Array, classes: int, resamples: int = RESAMPLES
) -> F1Intervals:
    """Return what `f1_intervals` does, of the filled cells of a matrix.

    Args:
        true: int64 [M], ascending.
        predicted: int64 [M], ascending among cells of one true class, or `classes` for samples that got no class.
        counts: int64 [M], at least 1.
        classes: K.
        resamples: how often the cells are drawn.
    """
    if not len(counts):
        return F1Intervals((0.0, 1.0), (0.0, 1.0), ((0.0, 1.0),) * classes)
    # RandomState's streams are frozen (NEP 19): the intervals are the same on every machine and with every NumPy.
    generator = np.random.RandomState(_SEED)
    step = max(1, _CHUNK_CELLS // max(len(counts), classes))
    f1, macro, weighted = np.empty((resamples, classes)), np.empty(resamples), np.empty(resamples)
    for start in range(0, resamples, step):
        part = slice(start, min(start + step, resamples))
        draws = generator.multinomial(counts.sum(), counts / counts.sum(), part.stop - start)
        f1[part], support = _f1(draws, true, predicted, classes)
        macro[part] = f1[part].mean(axis=1)
        weighted[part] = (f1[part] * support).sum(axis=1) / support.sum(axis=1)
    # By blocks of classes: a quantile copies what it is taken of.
    blocks = [np.quantile(f1[:, first : first + _BLOCK], _ENDS, axis=0) for first in range(0, classes, _BLOCK)]
    low, high = np.concatenate(blocks, axis=1).tolist()
    return F1Intervals(_interval(macro), _interval(weighted), tuple(zip(low, high, strict=True)))


def _f1(draws: Int64Array, true: Int64Array, predicted: Int64Array, classes: int) -> tuple[Float64Array, Float64Array]:
    # draws: [resamples, filled cells]; both results: [resamples, classes]
    support, by_column = _sums(draws, true, classes), np.argsort(predicted, kind="stable")
    by_column = by_column[: np.count_nonzero(predicted < classes)]
    both = support + _sums(draws[:, by_column], predicted[by_column], classes)
    hits, diagonal = np.zeros((len(draws), classes)), np.flatnonzero(true == predicted)
    hits[:, true[diagonal]] = draws[:, diagonal]
    return np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0), support


def _sums(draws: Int64Array, of_class: Int64Array, classes: int) -> Float64Array:
    # of_class: ascending, the class that each column of the draws counts for
    sums = np.zeros((len(draws), classes))
    if len(of_class):
        found, starts = np.unique(of_class, return_index=True)
        sums[:, found] = np.add.reduceat(draws, starts, axis=1)
    return sums


def _interval(values: Float64Array) -> Interval:
    low, high = np.quantile(values, _ENDS)
    return float(low), float(high)
