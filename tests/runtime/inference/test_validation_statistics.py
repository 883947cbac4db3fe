"""`validation.npz`: what is written is read, damage is refused, and bundles without it are what they were."""

import contextlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.drift.features import image_features
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.inference.statistics_source import StatisticsSource
from torchstone_runtime.inference.validation_statistics import (
    FILE_NAME,
    ValidationStatistics,
    statistics_file,
)

STORED = Path(__file__).parents[2] / "stored" / "digits"
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
LABELS = GENERATOR.integers(0, 3, 60)
LOGITS = GENERATOR.normal(size=(60, 3)).astype(np.float32)
EXACT = ValidationStatistics.of(image_features(IMAGES), LOGITS, LABELS, 1.3)
LOSSY = ValidationStatistics.of(image_features(IMAGES), LOGITS + LOGITS[::-1], LABELS, 1.3)
CONTENT = statistics_file(EXACT, {"int8": LOSSY})


def assert_same(found: ValidationStatistics, other: ValidationStatistics) -> None:
    """Compare every number."""
    for name, sketch in other.drift.sketches.items():
        np.testing.assert_array_equal(found.drift.sketches[name].points, sketch.points)
        np.testing.assert_array_equal(found.drift.sketches[name].below, sketch.below)
        np.testing.assert_array_equal(found.drift.sketches[name].at_most, sketch.at_most)
    np.testing.assert_array_equal(found.drift.class_counts, other.drift.class_counts)
    np.testing.assert_array_equal(found.conformal.probabilities, other.conformal.probabilities)
    np.testing.assert_array_equal(found.conformal.classes, other.conformal.classes)


def test_what_is_written_is_read_and_a_lossy_variant_has_its_own() -> None:
    """The images are the same for both; the answers are not."""
    assert_same(ValidationStatistics.from_bytes(CONTENT, 3), EXACT)
    assert_same(ValidationStatistics.from_bytes(CONTENT, 3, "int8"), LOSSY)
    assert not np.array_equal(LOSSY.conformal.probabilities, EXACT.conformal.probabilities)


def test_the_same_statistics_are_the_same_bytes() -> None:
    """No time of day, no order that chance decides."""
    again = ValidationStatistics.of(image_features(IMAGES), LOGITS, LABELS, 1.3)
    assert statistics_file(again, {"int8": LOSSY}) == CONTENT


def test_the_right_probabilities_are_the_softmax() -> None:
    """At the model's temperature, sorted."""
    exponentials = np.exp(LOGITS.astype(float) / 1.3)
    right = (exponentials / exponentials.sum(axis=1, keepdims=True))[np.arange(60), LABELS]
    np.testing.assert_allclose(EXACT.conformal.probabilities, np.sort(right), rtol=1e-6)


Damage = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("class_counts"),
        lambda arrays: arrays.pop("points.grain"),
        lambda arrays: arrays.update({"class_counts": arrays["class_counts"][:2]}),
        lambda arrays: arrays.update({"class_counts": -arrays["class_counts"]}),
        lambda arrays: arrays.update({"class_counts": arrays["class_counts"] * 0}),
        lambda arrays: arrays.update({"right_classes": arrays["right_classes"] + 1}),
        lambda arrays: arrays.update({"right_classes": arrays["right_classes"][:-1]}),
        lambda arrays: arrays.update({"right_probabilities": arrays["right_probabilities"][::-1]}),
        lambda arrays: arrays.update({"right_probabilities": arrays["right_probabilities"] * np.float32("nan")}),
        lambda arrays: arrays.update({"right_probabilities": arrays["right_probabilities"].astype(float)}),
        lambda arrays: arrays.update({"points.grain": arrays["points.grain"][::-1]}),
        lambda arrays: arrays.update({"points.grain": arrays["points.grain"] * np.inf}),
        lambda arrays: arrays.update({"points.grain": arrays["points.grain"][:0], "counts.grain": np.zeros((2, 0))}),
        lambda arrays: arrays.update({"counts.grain": arrays["counts.grain"] + 1}),
        lambda arrays: arrays.update({"counts.grain": arrays["counts.grain"][::-1]}),
        lambda arrays: arrays.update({"counts.confidence": arrays["counts.confidence"].astype(float)}),
        lambda arrays: arrays.update({"class_counts": np.array([None] * 3)}),
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(damage: Damage) -> None:
    """With one message, whatever is wrong."""
    with np.load(io.BytesIO(CONTENT)) as stored:
        arrays = dict(stored)
    damage(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with pytest.raises(BundleError, match="statistics of the validation images cannot be read"):
        ValidationStatistics.from_bytes(buffer.getvalue(), 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(place: int, change: int) -> None:
    """Nothing but a BundleError is raised."""
    damaged = bytearray(CONTENT)
    damaged[place] ^= change
    with contextlib.suppress(BundleError):
        ValidationStatistics.from_bytes(bytes(damaged), 3)


def test_an_archive_that_unpacks_to_very_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is unpacked."""
    monkeypatch.setattr("torchstone_runtime.inference.validation_statistics._MAX_BYTES", 1000)
    with pytest.raises(BundleError, match="unpack to more than 1,000 bytes"):
        ValidationStatistics.from_bytes(CONTENT, 3)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bundle as an earlier version wrote it."""
    folder = shutil.copytree(STORED, tmp_path / "bundle")
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["files"]["validation"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / FILE_NAME).unlink()
    return folder


def test_a_bundle_without_the_file_predicts_as_before_and_says_what_it_lacks(bare: Path) -> None:
    """Sets and drift are refused with what to do."""
    with Classifier.load(bare) as classifier:
        found = classifier.predict(np.zeros((1, *classifier.input_spec.shape), np.uint8))
        assert not classifier.statistics.present
        with pytest.raises(UsageError, match=r"carries no statistics of its validation images.*earlier version"):
            found.sets(0.9)
        with pytest.raises(UsageError, match="carries no statistics"):
            classifier.statistics.monitor()


def test_a_lone_file_has_none() -> None:
    """It is not a bundle."""
    with Classifier.load(STORED / "model.onnx") as classifier:
        found = classifier.predict(np.zeros((1, *classifier.input_spec.shape), np.uint8))
        with pytest.raises(UsageError, match="A lone file carries no statistics"):
            found.sets(0.9)


def test_a_file_that_was_altered_is_refused_when_it_is_needed(tmp_path: Path) -> None:
    """By its hash, as every other."""
    folder = shutil.copytree(STORED, tmp_path / "bundle")
    content = bytearray((folder / FILE_NAME).read_bytes())
    content[100] ^= 1
    (folder / FILE_NAME).write_bytes(content)
    with Classifier.load(folder) as classifier:
        found = classifier.predict(np.zeros((1, *classifier.input_spec.shape), np.uint8))
        with pytest.raises(BundleError, match="is not the file that was exported"):
            found.sets(0.9)


def test_sets_are_best_first_and_hold_the_label() -> None:
    """Also of a part of the predictions, and after a journey to another process."""
    generator = np.random.default_rng(0)
    with Classifier.load(STORED) as classifier:
        images = generator.integers(0, 256, (40, *classifier.input_spec.shape), dtype=np.uint8)
        found = classifier.predict(images)
    sets = found.sets(0.99)
    ranked = found.top(10)

    assert [names[0] for names in sets] == found.labels
    assert all(
        [name for name, _ in best][: len(names)] == list(names) for names, best in zip(sets, ranked, strict=True)
    )
    assert found[5:9].sets(0.99) == sets[5:9]
    assert pickle.loads(pickle.dumps(found)).sets(0.99) == sets  # noqa: S301 - our own
    assert max(map(len, sets)) > 1


def test_predictions_of_no_classifier_know_no_bundle() -> None:
    """Those made by hand."""
    with pytest.raises(UsageError, match=r"Make them with Classifier\.predict"):
        Predictions(("a", "b", "c"), LOGITS, LOGITS).sets(0.9)


def test_the_default_variant_of_the_built_in_bundle_has_its_own_calibration() -> None:
    """Int8 is not sure of the same things as fp32."""
    bundle = Bundle.open("fashion")
    exact, lossy = (StatisticsSource(bundle, variant).read() for variant in ("fp32", "int8"))

    assert len(exact.conformal) == len(lossy.conformal) == exact.drift.images == 6000
    assert not np.array_equal(exact.conformal.probabilities, lossy.conformal.probabilities)
    np.testing.assert_array_equal(exact.drift.sketches["grain"].points, lossy.drift.sketches["grain"].points)
