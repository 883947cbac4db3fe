"""How far macro F1 could be off, from the confusion matrix alone."""

from typing import Final

import numpy as np

from torchstone_runtime.metrics import Float64Array, Int64Array

RESAMPLES: Final = 2000
_SEED: Final = 0
_CHUNK_CELLS: Final = 4_000_000


def macro_f1_interval(confusion: Int64Array, resamples: int = RESAMPLES) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of macro F1 (B. Efron, Annals of Statistics 7, 1979).

    To draw N samples with replacement is to draw the confusion matrix's cells from a multinomial distribution, so the
    samples themselves aren't needed. The same matrix gives the same interval: the seed is fixed.

    Args:
        confusion: int64 [K, K], rows are true classes.
        resamples: how often the matrix is drawn.
    """
    true, predicted = np.nonzero(confusion)
    counts = confusion[true, predicted]
    if not len(counts):
        return 0.0, 1.0
    # RandomState's streams are frozen (NEP 19): the interval is the same on every machine and with every NumPy.
    generator = np.random.RandomState(_SEED)
    step = max(1, _CHUNK_CELLS // len(counts))
    values = []
    for start in range(0, resamples, step):
        draws = generator.multinomial(counts.sum(), counts / counts.sum(), min(step, resamples - start))
        values.append(_macro_f1(draws, true, predicted, len(confusion)))
    low, high = np.quantile(np.concatenate(values), (0.025, 0.975))
    return float(low), float(high)


def _macro_f1(draws: Int64Array, true: Int64Array, predicted: Int64Array, classes: int) -> Float64Array:
    # draws: [resamples, filled cells]
    twice_hits = np.zeros((len(draws), classes))
    both = np.zeros((len(draws), classes))
    for cell, (row, column) in enumerate(zip(true.tolist(), predicted.tolist(), strict=True)):
        both[:, row] += draws[:, cell]
        both[:, column] += draws[:, cell]
        if row == column:
            twice_hits[:, row] += 2 * draws[:, cell]
    f1 = np.divide(twice_hits, both, out=np.zeros_like(both), where=both > 0)
    means: Float64Array = f1.mean(axis=1)
    return means
