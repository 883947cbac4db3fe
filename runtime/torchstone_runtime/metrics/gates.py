"""Gates: what a model must reach for a pipeline to go on."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_runtime.metrics.probability_scores import Estimate
from torchstone_runtime.text import told_apart

COVERAGE: Final = "coverage at precision "
"""The name of such a figure begins with this; the precision follows."""


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on one figure.

    Attributes:
        figure: a key of the figures that it is judged on, such as `accuracy` or `recall of Shirt`.
        bound: the least accepted value, or the largest where `at_most` holds.
        at_most: whether smaller is better.
    """

    figure: str
    bound: float
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """A gate with what was measured.

    Attributes:
        value: value that was judged: the figure itself, or the unfavourable end of its 95% interval.
        on_interval: whether it was the latter.
        passed: whether it lies within the bound; never for NaN.
    """

    gate: Gate
    value: float
    on_interval: bool
    passed: bool

    def __str__(self) -> str:
        what = (
            f"the unfavourable end of the 95% interval of {self.gate.figure}" if self.on_interval else self.gate.figure
        )
        relation = "at most" if self.gate.at_most else "at least"
        value, bound = told_apart(self.value, self.gate.bound)
        return f"{what} is {value}, required {relation} {bound}"

    def to_json(self) -> dict[str, Any]:
        """Return the judgement as JSON data; `value` is null where it isn't finite."""
        return {
            "figure": self.gate.figure,
            "bound": self.gate.bound,
            "at_most": self.gate.at_most,
            "value": self.value if math.isfinite(self.value) else None,
            "on_interval": self.on_interval,
            "passed": self.passed,
        }


def judge(gates: Iterable[Gate], figures: Mapping[str, Estimate], *, on_interval: bool) -> list[Judgement]:
    """Judge gates.

    Args:
        gates: gates, each of which names one of `figures`.
        figures: measured figures with their 95% intervals, by name.
        on_interval: whether the end of the interval that is against the model is judged, so that luck can't pass a
            gate.

    Raises:
        UsageError: a figure is to be judged by its interval and has none.
    """
    return [_judge(gate, figures[gate.figure], on_interval=on_interval) for gate in gates]


def parse_class_bound(text: str, class_names: Iterable[str], what: str) -> Gate:
    """Return the gate that `NAME=X` stands for; the name may hold `=` itself.

    Args:
        text: the option's value, `NAME=X`, as it was given.
        class_names: names of the model's classes.
        what: `recall`, `precision` or `F1`.

    Raises:
        UsageError: no such class, or X is not a number from 0 to 1.
    """
    name, separator, number = text.rpartition("=")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not separator or not 0 <= bound <= 1:
        raise UsageError(f"'{text}' is not NAME=X with X from 0 to 1.", "Write it like --min-class-recall Shirt=0.7.")
    known = list(class_names)
    if name not in known:
        raise UsageError(f"The model has no class '{name}'.", suggestion(name, known))
    return Gate(f"{what} of {name}", bound)


def parse_coverage_bound(text: str) -> Gate:
    """Return the gate that `P=X` stands for: at precision P, at least the share X can be answered.

    Raises:
        UsageError: not two numbers from 0 to 1.
    """
    precision, _, share = text.partition("=")
    try:
        required, bound = float(precision), float(share)
    except ValueError:
        required = bound = math.nan
    if not (0 < required <= 1 and 0 <= bound <= 1):
        raise UsageError(f"'{text}' is not P=X with P and X from 0 to 1.", "Write it like --min-coverage 0.99=0.8.")
    return Gate(f"{COVERAGE}{repr(required).removesuffix('.0')}", bound)


def _judge(gate: Gate, measured: Estimate, *, on_interval: bool) -> Judgement:
    if on_interval and measured.interval is None:
        raise UsageError(
            f"There is no 95% interval of {gate.figure}: it can't be judged by one.",
            "Give this gate in a call of its own, without --judge interval.",
        )
    value = measured.interval[1 if gate.at_most else 0] if on_interval and measured.interval else measured.value
    passed = value <= gate.bound if gate.at_most else value >= gate.bound
    return Judgement(gate, value, on_interval, passed)
