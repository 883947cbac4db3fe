"""What an export writes of the validation images is what its own file says of them."""

from pathlib import Path

import numpy as np

from torchstone_export.run_data import load_run_data
from torchstone_runtime.drift.features import image_features
from torchstone_runtime.drift.sketch import Sketch
from torchstone_runtime.inference.classifier import Classifier
from torchstone_train.run.run_dir import RunDirectory


def test_the_statistics_are_those_of_the_validation_images(digits_run: Path, digits_bundle: Path) -> None:
    """Pixels to the bit; the probabilities of the right classes as near as PyTorch and ONNX Runtime are."""
    split = load_run_data(RunDirectory.open(digits_run).read_info(), None, Path()).validation
    images = split.store.read(np.arange(len(split)))
    with Classifier.load(digits_bundle) as classifier:
        probabilities = classifier.predict(images).probabilities
        found = classifier.statistics.read()
    grain = Sketch.of(image_features(images)[:, 3])

    np.testing.assert_array_equal(found.drift.sketches["grain"].points, grain.points)
    np.testing.assert_array_equal(found.drift.sketches["grain"].at_most, grain.at_most)
    assert found.drift.class_counts.tolist() == np.bincount(probabilities.argmax(axis=1), minlength=10).tolist()
    right = np.sort(probabilities[np.arange(len(split)), split.labels])
    np.testing.assert_allclose(found.conformal.probabilities, right, atol=1e-5)
