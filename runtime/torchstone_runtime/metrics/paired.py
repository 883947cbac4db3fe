"""Two classifiers on the same labelled samples: how much do they differ, and how sure is that?

Only the samples that one of the two gets right and the other wrong say anything about the difference (McNemar 1947).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.classification import Z_95

_IDS_LISTED: Final = 20
_BISECTIONS: Final = 80
"""Halvings of an interval of length 1: far below float64's resolution of the result."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A variant against a base on N labelled samples.

    Attributes:
        samples: N.
        agreeing: samples on which both choose the same class, right or wrong.
        gained: samples that the variant alone gets right; lost: that the base alone gets right.
    """

    samples: int
    agreeing: int
    gained: int
    lost: int

    @property
    def difference(self) -> float:
        """Accuracy of the variant minus that of the base, -1 to 1."""
        return (self.gained - self.lost) / self.samples

    @property
    def interval_95(self) -> tuple[float, float]:
        """95% interval of the difference, see `score_interval`."""
        return score_interval(self.gained, self.lost, self.samples)

    @property
    def p_value(self) -> float:
        """Two-sided exact McNemar p value of "both are equally accurate"."""
        return mcnemar_exact(self.gained, self.lost)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return {
            "samples": self.samples,
            "agreeing": self.agreeing,
            "gained": self.gained,
            "lost": self.lost,
            "difference": self.difference,
            "interval_95": list(self.interval_95),
            "interval_method": "score interval of a paired difference (Tango 1998)",
            "mcnemar_p": self.p_value,
        }


def compare_decisions(labels: Int64Array, base: Int64Array, variant: Int64Array) -> PairedComparison:
    """Count what two classifiers get right and wrong.

    Args:
        labels: true classes, int64 [N], N at least 1.
        base: classes chosen by the one, int64 [N].
        variant: classes chosen by the other, int64 [N].

    Raises:
        ValueError: no samples, or different numbers of them.
    """
    if len(labels) == 0 or not labels.shape == base.shape == variant.shape:
        raise ValueError(f"{len(labels)} labels, {len(base)} and {len(variant)} decisions")
    right, variant_right = base == labels, variant == labels
    return PairedComparison(
        samples=len(labels),
        agreeing=int((base == variant).sum()),
        gained=int((variant_right & ~right).sum()),
        lost=int((right & ~variant_right).sum()),
    )


def mcnemar_exact(gained: int, lost: int) -> float:
    """Return the two-sided exact p value of McNemar's test (Q. McNemar, Psychometrika 12, 1947).

    Of the discordant samples, each is gained or lost with probability 1/2 where both classifiers are equally accurate;
    the p value is twice the smaller binomial tail, at most 1.
    """
    total, smaller = gained + lost, min(gained, lost)
    # Logarithms: the coefficients themselves leave float64's range beyond 1,029 discordant samples.
    logs = [
        math.lgamma(total + 1) - math.lgamma(k + 1) - math.lgamma(total - k + 1) - total * math.log(2)
        for k in range(smaller + 1)
    ]
    return min(1.0, 2 * math.fsum(map(math.exp, logs)))


def score_interval(gained: int, lost: int, samples: int, z: float = Z_95) -> tuple[float, float]:
    """Return the score interval of the difference of two paired proportions, (gained - lost) / samples.

    The interval holds the differences that the score test does not reject, with the nuisance parameter at its maximum
    likelihood under the difference tested (T. Tango, Statistics in Medicine 17, 891-908, 1998). It stays meaningful
    where few or no samples are discordant: without any, it is -z² / (samples + z²) to z² / (samples + z²).

    Args:
        gained: pairs of which the variant alone is right.
        lost: pairs of which the base alone is right.
        samples: all pairs, at least 1 and at least gained + lost.
        z: quantile of the standard normal distribution; 95% two-sided by default.

    Raises:
        ValueError: counts that don't fit together.
    """
    if min(gained, lost) < 0 or samples < max(1, gained + lost):
        raise ValueError(f"{gained} gained and {lost} lost of {samples} samples")
    # The other end is this one with the roles exchanged.
    return _lower_end(gained, lost, samples, z), -_lower_end(lost, gained, samples, z)


def _lower_end(gained: int, lost: int, samples: int, z: float) -> float:
    estimate = (gained - lost) / samples
    low, high = -1.0, estimate
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _score(middle, gained, lost, samples) > z:
            low = middle
        else:
            high = middle
    return high


def _score(difference: float, gained: int, lost: int, samples: int) -> float:
    # Tango's equation for the probability of a lost pair, given the difference: a q² + b q + c = 0, the larger root.
    a = 2 * samples
    b = -gained - lost + (2 * samples - gained + lost) * difference
    c = -lost * difference * (1 - difference)
    probability = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = samples * (2 * probability + difference * (1 - difference))
    numerator = gained - lost - samples * difference
    return numerator / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, numerator)


def confusion_difference(
    labels: Int64Array, base: Int64Array, variant: Int64Array, class_names: Sequence[str], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return how the variant's confusion matrix differs from the base's, sample by sample.

    Returns:
        One entry for each way in which decisions changed, the most frequent first: `true`, `base` and `variant` (class
        names; None for no answer), `count`, and the `ids` of the first samples. Taking `count` out of the cell
        (true, base) and putting it into (true, variant), entry by entry, turns the base's matrix into the variant's.
    """
    moved: dict[tuple[int, int, int], list[int]] = {}
    for index in np.flatnonzero(base != variant).tolist():
        moved.setdefault((int(labels[index]), int(base[index]), int(variant[index])), []).append(index)
    return [
        {
            "true": class_names[true],
            "base": _name(class_names, before),
            "variant": _name(class_names, after),
            "count": len(indices),
            "ids": [ids[index] for index in indices[:_IDS_LISTED]],
        }
        for (true, before, after), indices in sorted(moved.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _name(class_names: Sequence[str], index: int) -> str | None:
    return None if index == NO_ANSWER else class_names[index]
