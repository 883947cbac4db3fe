"""Gates on figures and on their intervals."""

import math

import pytest

from torchstone_runtime.errors import UsageError
from torchstone_runtime.metrics.gates import Gate, judge, parse_class_bound, parse_coverage_bound
from torchstone_runtime.metrics.probability_scores import Estimate

FIGURES = {"accuracy": Estimate(0.91, (0.90, 0.92)), "log loss": Estimate(0.3, (0.28, 0.32))}


@pytest.mark.parametrize(
    ("gate", "on_interval", "passed"),
    [
        (Gate("accuracy", 0.91), False, True),
        (Gate("accuracy", 0.9101), False, False),
        (Gate("accuracy", 0.905), True, False),
        (Gate("accuracy", 0.90), True, True),
        (Gate("log loss", 0.31, at_most=True), False, True),
        (Gate("log loss", 0.31, at_most=True), True, False),
        (Gate("log loss", 0.32, at_most=True), True, True),
    ],
)
def test_a_gate_is_judged_by_the_figure_or_by_its_unfavourable_end(gate: Gate, on_interval: bool, passed: bool) -> None:
    """The lower end where more is better, the upper one where less is."""
    assert judge([gate], FIGURES, on_interval=on_interval)[0].passed is passed


def test_a_figure_that_is_no_number_fails_its_gate() -> None:
    """NaN is not good enough for anything."""
    nan = {"accuracy": Estimate(math.nan, (math.nan, math.nan))}
    assert not judge([Gate("accuracy", 0.0)], nan, on_interval=False)[0].passed


def test_a_figure_without_an_interval_cannot_be_judged_by_one() -> None:
    """It is refused, with what to do; its value can be judged."""
    figures = {"calibration error": Estimate(0.1, None)}
    gate = Gate("calibration error", 0.2, at_most=True)
    with pytest.raises(UsageError, match="no 95% interval of calibration error"):
        judge([gate], figures, on_interval=True)
    assert judge([gate], figures, on_interval=False)[0].passed


def test_a_failed_gate_shows_how_its_value_differs_from_the_bound() -> None:
    """With four decimals, or as many more as it takes."""
    near = {"accuracy": Estimate(0.949999, (0.9, 1.0))}
    (judgement,) = judge([Gate("accuracy", 0.95)], near, on_interval=False)
    assert str(judgement) == "accuracy is 0.949999, required at least 0.950000"


def test_the_precision_of_a_coverage_is_not_rounded() -> None:
    """All that was given is in the figure's name, by which it is measured."""
    assert parse_coverage_bound("0.9999999=0.5") == Gate("coverage at precision 0.9999999", 0.5)


def test_a_class_name_may_hold_an_equals_sign() -> None:
    """The bound stands behind the last one."""
    assert parse_class_bound("a=b=0.5", ["a=b"], "recall") == Gate("recall of a=b", 0.5)


@pytest.mark.parametrize("text", ["Shirt", "Shirt=", "Shirt=x", "Shirt=1.5", "Shirt=nan", "=0.5", "Shrit=0.5"])
def test_a_wrong_class_bound_is_refused(text: str) -> None:
    """With one message, before anything is measured."""
    with pytest.raises(UsageError):
        parse_class_bound(text, ["Shirt", "Coat"], "recall")
