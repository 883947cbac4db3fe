"""Counting sets on labelled images, and the range in which theory has their coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchstone
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.evaluation.conformal_sets import ClassSets, SetFigures
from torchstone_runtime.metrics.conformal import coverage_range
from torchstone_runtime.report.validation_watch import sets_html

stats = pytest.importorskip("scipy.stats")


@settings(max_examples=50, deadline=None)
@given(st.integers(19, 3000), st.integers(1, 3000), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_the_range_is_scipys_beta_binomial(calibration: int, images: int, coverage: float) -> None:
    """Its central 95%."""
    below = int((calibration + 1) * (1 - coverage) + 1e-9)
    low, high = stats.betabinom(images, calibration + 1 - below, below).ppf([0.025, 0.975])

    assert coverage_range(coverage, calibration, images) == pytest.approx((low / images, high / images))


@pytest.mark.parametrize("by_class", [False, True])
def test_theory_has_a_range_for_one_threshold_alone(by_class: bool) -> None:
    """With one for each class, each has a range of its own."""
    sets = SetFigures(0.9, by_class, 99, {1: 50}, [ClassSets("cat", 30, 28, 30), ClassSets("dog", 20, 19, 20)])

    assert (sets.to_json()["expected_range_95"] is None) == by_class
    assert ("theory expects" in sets_html(sets)) != by_class


def test_the_python_api_counts_what_the_predictions_say() -> None:
    """Covered images, sizes, and each class."""
    split = load_digits()
    images = split.store.read(np.arange(200))
    with torchstone.load("tests/stored/digits") as classifier:
        found = torchstone.evaluate(classifier, data=(images, split.labels[:200]), coverage=0.98)
        sets = classifier.predict(images).sets(0.98)
    held = [classifier.class_names[label] in names for label, names in zip(split.labels[:200], sets, strict=True)]

    assert found.sets is not None
    assert found.drift is not None
    assert (found.sets.covered, found.sets.images, found.sets.asked) == (sum(held), 200, 0.98)
    assert found.sets.sizes == {size: list(map(len, sets)).count(size) for size in {*map(len, sets)}}
    assert found.sets.mean_size == pytest.approx(np.mean([len(names) for names in sets]))
    assert found.drift.images == 200
