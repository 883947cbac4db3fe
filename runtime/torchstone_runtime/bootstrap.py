"""How far F1 could be off, from the confusion matrix alone."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.metrics import Float64Array, Int64Array

RESAMPLES: Final = 2000
_SEED: Final = 0
_CHUNK_CELLS: Final = 4_000_000
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
    counts = confusion[true, predicted]
    if not len(counts):
        return F1Intervals((0.0, 1.0), (0.0, 1.0), ((0.0, 1.0),) * len(confusion))
    # RandomState's streams are frozen (NEP 19): the intervals are the same on every machine and with every NumPy.
    generator = np.random.RandomState(_SEED)
    step = max(1, _CHUNK_CELLS // len(counts))
    f1, support = [], []
    for start in range(0, resamples, step):
        draws = generator.multinomial(counts.sum(), counts / counts.sum(), min(step, resamples - start))
        of_classes, of_support = _f1(draws, true, predicted, len(confusion))
        f1.append(of_classes)
        support.append(of_support)
    drawn, weights = np.concatenate(f1), np.concatenate(support)
    low, high = np.quantile(drawn, _ENDS, axis=0)
    return F1Intervals(
        _interval(drawn.mean(axis=1)),
        _interval((drawn * weights).sum(axis=1) / weights.sum(axis=1)),
        tuple(zip(low.tolist(), high.tolist(), strict=True)),
    )


def _f1(draws: Int64Array, true: Int64Array, predicted: Int64Array, classes: int) -> tuple[Float64Array, Float64Array]:
    # draws: [resamples, filled cells]; both results: [resamples, classes]
    hits, support, chosen = (np.zeros((len(draws), classes)) for _ in range(3))
    for cell, (row, column) in enumerate(zip(true.tolist(), predicted.tolist(), strict=True)):
        support[:, row] += draws[:, cell]
        if column < classes:
            chosen[:, column] += draws[:, cell]
        if row == column:
            hits[:, row] += draws[:, cell]
    both = support + chosen
    return np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0), support


def _interval(values: Float64Array) -> Interval:
    low, high = np.quantile(values, _ENDS)
    return float(low), float(high)
