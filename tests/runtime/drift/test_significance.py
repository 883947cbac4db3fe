"""The p-values are no smaller than the true probabilities, and not much larger."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.drift.significance import class_p_value, sketch_p_value
from torchstone_runtime.drift.sketch import Sketch

stats = pytest.importorskip("scipy.stats")


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 300), st.integers(4, 300), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_the_bound_on_a_distance_is_above_the_exact_probability(
    first: int, second: int, seed: int, move: float
) -> None:
    """SciPy's exact two-sample Kolmogorov-Smirnov test."""
    generator = np.random.default_rng(seed)
    one, other = generator.normal(size=first), generator.normal(move, 1, second)
    exact = stats.ks_2samp(one, other, method="exact")

    assert sketch_p_value(float(exact.statistic), first, second) >= exact.pvalue * (1 - 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=6))
def test_the_bound_on_a_class_is_above_the_exact_probability_and_below_thrice_it(counts: list[tuple[int, int]]) -> None:
    """SciPy's hypergeometric distribution, class by class, both sides, with Bonferroni's correction."""
    reference, window = (np.array(column, np.int64) for column in zip(*counts, strict=True))
    together, drawn = reference + window, int(window.sum())
    tails = [
        min(
            stats.hypergeom.sf(found - 1, together.sum(), marked, drawn),
            stats.hypergeom.cdf(found, together.sum(), marked, drawn),
        )
        for found, marked in zip(window, together, strict=True)
        if marked
    ]
    exact = min(1.0, 2 * len(tails) * min(tails, default=1.0))
    found = class_p_value(reference, window)

    assert found >= exact * (1 - 1e-9)
    assert found <= 3 * exact or exact > 1e-2


def test_a_class_that_floods_the_window_is_improbable() -> None:
    """30 of 1,000 images where one in a thousand was expected."""
    reference = np.full(1000, 10, np.int64)
    window = np.ones(1000, np.int64)
    window[3] = 31
    assert class_p_value(reference, window) < 1e-20


def largest_difference(one: Float64Array, other: Float64Array) -> float:
    """Return the Kolmogorov-Smirnov distance by its definition."""
    values = np.concatenate([one, other])
    return float(max(abs((one <= value).mean() - (other <= value).mean()) for value in values))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=200),
    st.lists(st.integers(-5, 35), min_size=1, max_size=50),
    st.integers(2, 300),
)
def test_a_sketch_gives_the_distance_or_less(reference: list[int], window: list[int], points: int) -> None:
    """With all values as points the very distance, ties included; with fewer never more."""
    one, other = np.array(reference, float), np.array(window, float)
    exact = largest_difference(one, other)
    sketch = Sketch.of(one, points)
    found, _ = sketch.distance(np.bincount(sketch.cells(other), minlength=sketch.cell_count))

    assert found <= exact + 1e-12
    if len(sketch.points) == len(set(reference)):
        assert found == pytest.approx(exact)
