"""Sets of classes: what theory says of their coverage, and that what cannot be promised is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.conformal import MOST_IMAGES, ConformalCalibration

NAMES = tuple("abcde")


def outputs(seed: int, count: int, classes: int = 5) -> tuple[Float32Array, Int64Array]:
    """Make probabilities of a mediocre model, and labels drawn by other ones."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (count, classes))
    labels = (logits + generator.gumbel(size=logits.shape) * 1.5).argmax(axis=1)
    exponentials = np.exp(logits)
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32), labels


def calibrated(probabilities: Float32Array, labels: Int64Array) -> ConformalCalibration:
    """Calibrate on images."""
    right = probabilities[np.arange(len(labels)), labels]
    return ConformalCalibration.of(right, labels, probabilities.shape[1])


def coverages(
    probabilities: Float32Array, labels: Int64Array, coverage: float, known: int, divisions: int
) -> Float64Array:
    """Return the share of covered images over random divisions, with `known` images to calibrate on."""
    generator, found = np.random.default_rng(7), []
    for _ in range(divisions):
        order = generator.permutation(len(labels))
        first, rest = order[:known], order[known:]
        inside = calibrated(probabilities[first], labels[first]).members(
            probabilities[rest], coverage, allow_empty=True
        )
        found.append(inside[np.arange(len(rest)), labels[rest]].mean())
    return np.array(found)


def expected(coverage: float, known: int, rest: int) -> tuple[float, float]:
    """Return mean and standard deviation of the beta-binomial distribution of the coverage.

    V. Vovk, Conditional validity of inductive conformal predictors, ACML 2012.
    """
    below = int((known + 1) * (1 - coverage) + 1e-9)
    a, b = known + 1 - below, below
    variance = a * b * (a + b + rest) / ((a + b) ** 2 * (a + b + 1) * rest)
    return a / (a + b), variance**0.5


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("known", [100, 499, 900])
def test_over_100_divisions_of_real_images_the_coverage_is_what_theory_says(coverage: float, known: int) -> None:
    """Its mean and its spread, on the digits, classified by the stored model."""
    split = load_digits()
    with Classifier.load("tests/stored/digits") as classifier:
        # At a temperature at which no two of them are equally sure.
        logits = classifier.predict(split.store.read(np.arange(len(split)))).logits.astype(float) / 4
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exponentials / exponentials.sum(axis=1, keepdims=True)).astype(np.float32)
    found = coverages(probabilities, split.labels, coverage, known, 100)
    mean, deviation = expected(coverage, known, len(split) - known)

    assert coverage <= mean <= coverage + 1 / (known + 1)
    assert abs(found.mean() - mean) < 4 * deviation / 10
    assert 0.7 < found.std() / deviation < 1.4


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10, 300), st.floats(0.5, 0.95))
def test_a_share_of_at_least_the_coverage_of_the_calibrating_images_is_covered(
    seed: int, count: int, coverage: float
) -> None:
    """And without the least of them, less than asked: the threshold is the largest that may be."""
    probabilities, labels = outputs(seed, count)
    calibration = calibrated(probabilities, labels)
    if (count + 1) * (1 - coverage) < 1:
        return
    inside = calibration.members(probabilities, coverage, allow_empty=True)[np.arange(count), labels]

    assert inside.sum() >= np.ceil((count + 1) * coverage - 1e-6)
    assert (probabilities[np.arange(count), labels] > calibration.threshold(coverage)).sum() < (count + 1) * coverage


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9), st.floats(0.0, 0.09), st.booleans())
def test_a_larger_coverage_only_adds_classes(seed: int, coverage: float, more: float, by_class: bool) -> None:
    """So do sets that are never empty, to those that may be."""
    probabilities, labels = outputs(seed, 600)
    calibration = calibrated(probabilities[:400], labels[:400])
    small, large, least = (
        calibration.members(probabilities[400:], value, by_class=by_class, allow_empty=empty)
        for value, empty in ((coverage, False), (coverage + more, False), (coverage, True))
    )
    assert (small <= large).all()
    assert (least <= small).all()
    assert small.any(axis=1).all()


def test_every_class_is_covered_as_often_where_that_is_asked_for() -> None:
    """Where the sets over all classes leave the hard one behind."""
    probabilities, labels = outputs(0, 40_000)
    # The model never learned the last class well.
    hard = labels == 4
    probabilities[hard] = np.roll(probabilities[hard], 1, axis=1)
    calibration = calibrated(probabilities[::2], labels[::2])
    probabilities, labels = probabilities[1::2], labels[1::2]
    rows = np.arange(len(labels))

    def least(*, by_class: bool) -> float:
        inside = calibration.members(probabilities, 0.9, by_class=by_class, allow_empty=True)[rows, labels]
        return min(float(inside[labels == index].mean()) for index in range(5))

    assert least(by_class=True) > 0.88 > least(by_class=False)


@pytest.mark.parametrize(("images", "coverage"), [(19, 0.95), (9, 0.9), (99, 0.99), (999, 0.999)])
def test_as_few_images_as_can_be_promise_a_coverage(images: int, coverage: float) -> None:
    """1 / alpha - 1, as binary fractions have it or not; one less is refused, with both numbers."""
    probabilities, labels = outputs(0, images)
    assert calibrated(probabilities, labels).threshold(coverage) == probabilities[np.arange(images), labels].min()

    with pytest.raises(UsageError, match=f"calibrated on {images - 1} .* allow 0.[0-9]* at most") as caught:
        calibrated(probabilities[1:], labels[1:]).threshold(coverage)
    assert f"{images:,} validation images or more" in caught.value.remedy


def test_classes_with_too_few_images_are_named() -> None:
    """Five of them at most."""
    probabilities, labels = outputs(0, 30)
    with pytest.raises(UsageError, match="needs 99 validation images of each, and 5 of 5 classes have fewer: a, b, c"):
        calibrated(probabilities, labels).members(probabilities, 0.99, NAMES, by_class=True)


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, 95.0, float("nan")])
def test_what_is_no_coverage_is_refused(coverage: float) -> None:
    """Percent, for one."""
    probabilities, labels = outputs(0, 30)
    with pytest.raises(UsageError, match="more than 0 and less than 1"):
        calibrated(probabilities, labels).threshold(coverage)


def test_an_image_without_an_answer_has_an_empty_set() -> None:
    """It has no most probable class either."""
    probabilities, labels = outputs(0, 50)
    calibration = calibrated(probabilities, labels)
    probabilities[3, 2] = np.nan
    inside = calibration.members(probabilities, 0.9)

    assert not inside[3].any()
    assert inside[4].any()


def test_of_very_many_images_a_part_is_kept() -> None:
    """Spread over all, not the first ones."""
    right = np.linspace(0, 1, 100_001, dtype=np.float32)
    kept = ConformalCalibration.of(right, np.zeros(100_001, np.int64), 2)

    assert len(kept) == MOST_IMAGES
    assert kept.threshold(0.9) == pytest.approx(0.1, abs=1e-3)
