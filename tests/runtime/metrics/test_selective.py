"""Coverage at a required precision, precision at a required coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.metrics.selective import SelectiveCurve

CASES = st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.9, 0.99]), st.booleans()), min_size=1, max_size=40)


def curve(case: list[tuple[float, bool]]) -> SelectiveCurve:
    """Return the curve of (confidence, right) pairs."""
    return SelectiveCurve(np.array([sure for sure, _ in case]), np.array([right for _, right in case]))


@settings(deadline=None)
@given(CASES, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_no_threshold_covers_more_at_the_required_precision(case: list[tuple[float, bool]], required: float) -> None:
    """The point is the best of all thresholds, tried one by one."""
    point = curve(case).at_precision(required)
    best = 0.0
    for threshold in {sure for sure, _ in case}:
        answered = [right for sure, right in case if sure >= threshold]
        if sum(answered) >= required * len(answered):
            best = max(best, len(answered) / len(case))
    assert point.coverage == pytest.approx(best)


@settings(deadline=None)
@given(CASES, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_a_threshold_gives_the_stated_precision(case: list[tuple[float, bool]], required: float) -> None:
    """Answering at or above the threshold gives coverage and precision of the point: nobody is parted from an equal."""
    point = curve(case).at_precision(required)
    if point.threshold is None:
        return
    answered = [right for sure, right in case if sure >= point.threshold]
    assert len(answered) / len(case) == pytest.approx(point.coverage)
    assert sum(answered) / len(answered) == pytest.approx(point.precision)
    assert point.precision >= required - 1e-12


def test_nothing_can_be_answered_where_the_surest_is_wrong() -> None:
    """No threshold, no coverage."""
    point = curve([(0.9, False), (0.8, True)]).at_precision(0.99)
    assert (point.threshold, point.coverage) == (None, 0.0)


def test_a_coverage_is_reached_with_the_surest_samples() -> None:
    """Half of four samples: the two surest."""
    point = curve([(0.9, True), (0.5, False), (0.8, True), (0.3, False)]).at_coverage(0.5)
    assert (point.threshold, point.coverage, point.precision) == (0.8, 0.5, 1.0)
