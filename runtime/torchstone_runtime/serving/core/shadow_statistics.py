"""How a second model's decisions differ from those of the model that answers, without anybody knowing the truth."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.paired import mcnemar_exact
from torchstone_runtime.serving.core.histogram import SECONDS, Histogram

_EXACT: Final = 10_000
"""Discordant images up to which the p value is exact; its sum has as many terms."""


@dataclass(slots=True)
class ShadowStatistics:
    """Counters of a shadow since it was loaded.

    Attributes:
        class_names: K classes of the model that answers, in the order of the counts below.
        sha256: SHA-256 of the shadow's model file, hexadecimal.
        compared: images that both decided.
        agreeing: images on which both chose the same class, or neither gave an answer.
        only_model: images of each class that the model alone chose, K counts.
        only_shadow: images of each class that the shadow alone chose, K counts.
        pairs: images by the classes that the two chose where those differ, the model's first; `NO_ANSWER` for none.
        dropped: images not compared because the server was at work, or the shadow's share of the time was used up.
        incomparable: images not compared because their pixels are not of the shape that the shadow takes.
        failures: requests at which the shadow failed.
        last_failure: message of the latest failure; empty if there was none.
        compute_seconds: time that the shadow took for a request, decoding included where it decodes otherwise.
    """

    class_names: tuple[str, ...]
    sha256: str
    compared: int = 0
    agreeing: int = 0
    only_model: list[int] = field(init=False)
    only_shadow: list[int] = field(init=False)
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)
    dropped: int = 0
    incomparable: int = 0
    failures: int = 0
    last_failure: str = ""
    compute_seconds: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    _p_values: dict[int, tuple[int, int, float]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Start all counts at 0."""
        self.only_model = [0] * len(self.class_names)
        self.only_shadow = [0] * len(self.class_names)

    def add(self, model: int, shadow: int) -> None:
        """Count an image by the classes that the two chose, `NO_ANSWER` for none."""
        self.compared += 1
        if model == shadow:
            self.agreeing += 1
            return
        self.pairs[model, shadow] += 1
        if model != NO_ANSWER:
            self.only_model[model] += 1
        if shadow != NO_ANSWER:
            self.only_shadow[shadow] += 1

    def p_value(self, index: int) -> float:
        """Return the two-sided McNemar p value of "both choose this class equally often".

        Without labels nobody knows which of the two is right; what the pairs do tell is whether the shadow would
        shift the share of a class. Exact up to 10,000 discordant images, beyond by the normal approximation with
        continuity correction (A. L. Edwards, Psychometrika 13, 1948). Of K classes, compare it with 0.05 / K.

        Args:
            index: index of the class.
        """
        gained, lost = self.only_shadow[index], self.only_model[index]
        kept = self._p_values.get(index)
        if kept is None or kept[:2] != (gained, lost):
            # Metrics ask on the event loop, again and again: for a thousand classes that would hold up requests.
            kept = self._p_values[index] = gained, lost, _p_value(gained, lost)
        return kept[2]


def _p_value(gained: int, lost: int) -> float:
    if gained + lost <= _EXACT:
        return mcnemar_exact(gained, lost)
    return math.erfc(max(abs(gained - lost) - 1, 0) / math.sqrt(2 * (gained + lost)))
