"""`DriftMonitor`: its window, and what it finds on real images."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.corruption import CORRUPTIONS, corrupt
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.drift.drift_report import ALARM_LEVEL
from torchstone_runtime.drift.features import confidence_log_odds, image_features
from torchstone_runtime.drift.monitor import DriftMonitor
from torchstone_runtime.drift.reference_images import DriftReference
from torchstone_runtime.errors import UsageError
from torchstone_runtime.inference.classifier import Classifier

NAMES = tuple("abc")


def answered(seed: int, count: int) -> tuple[Uint8Array, Float32Array]:
    """Make random images with random answers."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, 1, 9, 8), dtype=np.uint8), generator.normal(size=(count, 3)).astype(
        np.float32
    )


def reference_of(images: Uint8Array, logits: Float32Array) -> DriftReference:
    """Take images for the reference."""
    return DriftReference.of(image_features(images), confidence_log_odds(logits, 1), logits.argmax(axis=1), 3)


REFERENCE = reference_of(*answered(0, 300))


def monitor(window: int | None) -> DriftMonitor:
    """Make a monitor of the random reference."""
    return DriftMonitor(REFERENCE, NAMES, window=window)


@pytest.mark.parametrize("sizes", [[1] * 25, [7, 1, 20, 3], [10, 10], [50], [10, 4, 0, 11]])
def test_a_window_holds_the_latest_images(sizes: list[int]) -> None:
    """In whatever batches they came."""
    images, logits = answered(1, sum(sizes))
    windowed, fresh = monitor(10), monitor(None)
    start = 0
    for size in sizes:
        windowed.add(images[start : start + size], logits[start : start + size])
        start += size
    fresh.add(images[-10:], logits[-10:])

    assert windowed.report() == fresh.report()
    assert len(windowed) == windowed.report().images == 10


def test_without_a_window_all_images_count() -> None:
    """However many there are."""
    found = monitor(None)
    for seed in range(5):
        found.add(*answered(seed, 100))
    assert len(found) == found.report().images == 500


def test_images_without_an_answer_are_left_out() -> None:
    """NaN or infinities among their logits."""
    images, logits = answered(1, 20)
    logits[3, 1], logits[7, 0] = np.nan, np.inf
    found = monitor(10)
    found.add(images[:8], logits[:8])
    assert found.report().images == 6


def test_an_empty_window_is_no_alarm() -> None:
    """There is nothing to compare; after a reset as at first."""
    found = monitor(10)
    found.add(*answered(1, 20))
    found.reset()

    assert not found.report().alarm
    assert found.report().p_value == 1
    assert found.report().in_words() == "nothing to compare: no images"


def test_threads_may_add_at_once() -> None:
    """No image is lost or counted twice."""
    found = monitor(250)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: found.add(*answered(seed, 17)), range(40)))
    report = found.report()

    assert report.images == 250
    assert all((column >= 0).all() and column.sum() == 250 for column in found._counts)


def test_a_window_of_no_images_is_refused() -> None:
    """With a message."""
    with pytest.raises(UsageError, match="at least 1 image, not 0"):
        monitor(0)


def test_the_reference_itself_is_no_alarm_and_a_class_that_floods_the_answers_is() -> None:
    """The report names it with its share, as it was and as it is."""
    images, logits = answered(0, 300)
    same, flooded = monitor(None), monitor(None)
    same.add(images, logits)
    flooded.add(images, np.where(np.arange(3) == 1, logits + 9, logits).astype(np.float32))

    assert same.report().p_value == 1
    assert max(item.distance for item in same.report().features) == 0
    assert flooded.report().alarm
    assert "'b' 100.0% of the predictions, not " in flooded.report().in_words()


def real_monitor(classifier: Classifier, images: Uint8Array) -> DriftMonitor:
    """Make a monitor of which real images are the reference."""
    logits = classifier.predict(images).logits
    features, odds = image_features(images), confidence_log_odds(logits, 1)
    return DriftMonitor(
        DriftReference.of(features, odds, logits.argmax(axis=1), 10), classifier.class_names, window=None
    )


def test_windows_of_unchanged_digits_raise_an_alarm_at_most_once_in_a_thousand() -> None:
    """300 random divisions of real images into a reference and a window: no alarm is expected, one is accepted."""
    split = load_digits()
    with Classifier.load("tests/stored/digits") as classifier:
        images = split.store.read(np.arange(len(split)))
        logits = classifier.predict(images).logits
    features, odds, chosen = image_features(images), confidence_log_odds(logits, 1), logits.argmax(axis=1)
    generator, smallest = np.random.default_rng(0), []
    for _ in range(300):
        order = generator.permutation(len(images))
        known, new = order[:900], order[900:1300]
        reference = DriftReference.of(features[known], odds[known], chosen[known], 10)
        found = DriftMonitor(reference, classifier.class_names, window=None)
        found._count(np.column_stack([reference.cells(features[new], odds[new]), chosen[new]]), 1)
        smallest.append(found.report().p_value)

    assert sum(value <= ALARM_LEVEL for value in smallest) <= 1
    assert sum(value <= 0.1 for value in smallest) <= 0.1 * 300
    assert min(smallest) < 0.5


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_each_corruption_is_found_within_200_pictures(name: str) -> None:
    """At severity 3, beside 900 other digits."""
    split = load_digits()
    images = split.store.read(np.arange(len(split)))
    with Classifier.load("tests/stored/digits") as classifier:
        found = real_monitor(classifier, images[:900])
        changed = corrupt(images[900:1100], name, 3)
        found.add(changed, classifier.predict(changed).logits)
    assert found.report().alarm


def test_the_golden_images_of_the_built_in_bundle_are_no_alarm() -> None:
    """They are of the test split."""
    images = golden_images(Bundle.open(locate_bundle("fashion")))
    with Classifier.load("fashion", variant="fp32") as classifier:
        found = classifier.statistics.monitor()
        found.add(images, classifier.predict(images).logits)
    assert not found.report().alarm
    assert found.report().reference_images == 6000
