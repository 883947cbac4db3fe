"""How probable a distance between two samples is where both are drawn from the same images.

Both are upper bounds that hold for small samples, not approximations for large ones. A reference of some hundred images
is a sample too: its own chance is counted in.
"""

import math

import numpy as np

from torchstone_runtime.arrays import Int64Array


def sketch_p_value(distance: float, first: int, second: int) -> float:
    """Bound the probability of a Kolmogorov-Smirnov distance at least this large between two samples.

    2 exp(-2 d^2 m n / (m + n)), the two-sample form of the Dvoretzky-Kiefer-Wolfowitz-Massart inequality; where m = n,
    the factor is e in the place of 2 (F. Wei and R. M. Dudley, Statistics & Probability Letters 82, 2012). It holds for
    values with ties as well, where it is only the more cautious.

    Args:
        distance: largest difference of the two distribution functions, 0 to 1.
        first: size m of the one sample, at least 4.
        second: size n of the other one, at least 1.
    """
    exponent = 2.0 * distance * distance * first * second / (first + second)
    return min(1.0, (math.e if first == second else 2.0) * math.exp(-exponent))


def class_p_value(reference: Int64Array, window: Int64Array) -> float:
    """Bound the probability that some class's count in a window lies so far from the reference's as one does.

    Given the two samples together, a class's count in the window is hypergeometric (Fisher's exact test). The tail is
    bounded by a geometric series from its first term on, as the ratio of neighbouring terms only falls; it is
    doubled for the two sides and multiplied by the number of classes that occur (Bonferroni).

    Args:
        reference: int64 [K], images of the reference by chosen class.
        window: int64 [K], images of the window likewise.
    """
    together = reference + window
    occurring = np.flatnonzero(together).tolist()
    drawn, all_of_them = int(window.sum()), int(together.sum())
    smallest = min(
        (_tail(int(window[index]), int(together[index]), drawn, all_of_them) for index in occurring), default=1.0
    )
    return min(1.0, 2.0 * len(occurring) * smallest)


def _tail(found: int, marked: int, drawn: int, total: int) -> float:
    """Bound the probability of a count as far out as `found`, on its side of the expected one."""
    if found * total < marked * drawn:  # fewer than expected: as many more of all the others
        found, marked = drawn - found, total - marked
    ratio = (marked - found) * (drawn - found) / ((found + 1) * (total - marked - drawn + found + 1))
    if ratio >= 1.0:
        return 1.0
    log_first = _log_choose(marked, found) + _log_choose(total - marked, drawn - found) - _log_choose(total, drawn)
    return min(1.0, math.exp(log_first) / (1.0 - ratio))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)
