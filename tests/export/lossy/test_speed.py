"""Comparing speeds: the interval is one, and noise alone accepts nothing."""

import math
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_export.lossy.speed import ROUNDS, compare_speed, median_interval
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.inference.engine import Engine


def test_the_intervals_coverage_is_at_least_95_percent() -> None:
    """Exactly, for any continuous noise: the binomial probability that the ranks enclose the median."""
    for count in (6, 11, 31, 62, 124):
        low, high = median_interval([float(value) for value in range(count)])
        below, above = int(low), count - 1 - int(high)
        assert below == above
        missed = 2 * sum(math.comb(count, k) for k in range(below + 1)) / 2**count
        assert missed <= 0.05
        wider = 2 * sum(math.comb(count, k) for k in range(below + 2)) / 2**count
        assert wider > 0.05  # and no narrower one has it


def test_the_known_ranks_of_31_values() -> None:
    """The 10th smallest and the 10th largest, as in tables of the sign test."""
    assert median_interval([float(value) for value in range(1, 32)]) == (10.0, 22.0)


@given(st.lists(st.floats(0.01, 100), min_size=6, max_size=100))
def test_the_interval_encloses_the_median(values: list[float]) -> None:
    """Whatever the values are."""
    low, high = median_interval(values)
    assert low <= statistics.median(values) <= high


def test_too_few_values_have_no_interval() -> None:
    """Of five, even the extremes enclose the median only 94% of the time."""
    with pytest.raises(ValueError, match="5 values"):
        median_interval([1.0] * 5)


class _Waiting:
    """A session that takes a known time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def run(
        self, _: Sequence[str], feeds: Mapping[str, Uint8Array], _run_options: object = None, /
    ) -> Sequence[Float32Array]:
        """Wait, and give zeros."""
        import time

        time.sleep(self.seconds)
        return [np.zeros((len(feeds["images"]), 2), np.float32)] * 2


def test_a_file_that_waits_half_as_long_is_twice_as_fast() -> None:
    """The ratio is the base's time by the variant's, and the base against itself is at 1."""
    base, again, variant = (
        Engine(_Waiting(seconds), num_classes=2, workers=1, micro_batch=4) for seconds in (0.01, 0.01, 0.005)
    )
    speed = compare_speed(base, again, variant, np.zeros((3, 1, 2, 2), np.uint8), rounds=7)

    assert speed.rounds in (7, 14, 21, 28)
    assert speed.images % 4 == 0
    assert speed.interval_95[0] <= speed.ratio <= speed.interval_95[1]
    assert 1.2 < speed.ratio < 3
    assert speed.self_interval_95[0] < 1.2
    assert ROUNDS >= 31
