"""The map of where a model looked points at what its answer depends on, and at nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.support_corner import CORNER, write_corner_model
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation import occlusion
from torchstone_runtime.evaluation.evaluate import evaluate
from torchstone_runtime.evaluation.explanations import explain, explained_mistakes
from torchstone_runtime.evaluation.occlusion import cover_count, explain_by_occlusion
from torchstone_runtime.inference.classifier import Classifier


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model that looks at the upper left corner alone."""
    return Classifier.load(write_corner_model(tmp_path_factory.mktemp("corner") / "corner.onnx"), threads=1)


@pytest.fixture(scope="module")
def noise() -> Uint8Array:
    """A picture that is lively everywhere."""
    return np.random.default_rng(0).integers(0, 256, (3, 32, 24), dtype=np.uint8)


def run_of(model: Classifier) -> occlusion.Run:
    """What a model's logits are for images."""
    return lambda images: model.predict(np.ascontiguousarray(images), unanswered="keep").logits


def test_the_map_points_at_the_corner_that_decides(corner: Classifier, noise: Uint8Array) -> None:
    """The hottest place lies in it, and places whose covers don't reach it are exactly 0."""
    found = explain_by_occlusion(run_of(corner), noise, [1])[0]
    row, column = np.unravel_index(int(found.fall.argmax()), found.fall.shape)
    assert row < CORNER
    assert column < CORNER
    assert (found.fall[2 * CORNER :] == 0).all()
    assert (found.fall[:, 2 * CORNER :] == 0).all()
    assert found.probability > found.lowest


def test_an_explained_mistake_has_the_probability_of_the_evaluation(classifier: Classifier, digits: Split) -> None:
    """The model divides its logits by a temperature before it takes their softmax."""
    evaluation = evaluate(classifier, digits)
    chosen = explained_mistakes(evaluation, 1)
    (found,) = explain(classifier, evaluation, chosen)
    assert classifier.temperature != 1
    assert found.answered.probability == pytest.approx(float(evaluation.confidence[chosen[0]]), abs=1e-5)


def test_what_speaks_for_a_class_speaks_against_the_other(corner: Classifier, noise: Uint8Array) -> None:
    """Of two classes the log-odds are each other's negative."""
    dull, lively = explain_by_occlusion(run_of(corner), noise, [0, 1])
    np.testing.assert_allclose(dull.fall, -lively.fall, atol=1e-6)
    assert dull.fall.min() < 0


def test_a_probability_of_one_still_has_a_map(corner: Classifier, noise: Uint8Array) -> None:
    """The fall is one of log-odds: in float32 the probability of a sure answer would not move."""
    sure = explain_by_occlusion(lambda images: 40 * run_of(corner)(images), noise, [1])[0]
    assert sure.probability == 1.0
    assert sure.fall.max() > 1


def test_a_copy_without_an_answer_changes_nothing(corner: Classifier, noise: Uint8Array) -> None:
    """NaN for some covered copies is no fall; the map stays finite."""

    def sometimes(images: Uint8Array) -> Float32Array:
        logits = run_of(corner)(images)
        return logits if len(images) == 1 else np.where(np.arange(len(logits))[:, None] % 2, np.nan, logits)

    assert np.isfinite(explain_by_occlusion(sometimes, noise, [0, 1])[1].fall).all()


@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), channels=st.sampled_from([1, 3]), most=st.integers(1, 3))
def test_any_size_is_covered_whole_in_the_stated_number_of_runs(
    height: int, width: int, channels: int, most: int
) -> None:
    """Every pixel is hidden at least once, however few copies fit in a call."""
    pixels = np.full((channels, height, width), 7, dtype=np.uint8)
    seen = 0

    def run(images: Uint8Array) -> Float32Array:
        nonlocal seen
        seen += len(images)
        assert len(images) <= most
        return np.zeros((len(images), 3), dtype=np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occlusion, "_CALL_BYTES", most * pixels.nbytes)
        (found,) = explain_by_occlusion(run, pixels, [2])
    assert seen == cover_count(height, width)
    assert found.fall.shape == (height, width)
    assert np.isfinite(found.fall).all()  # a pixel under no cover would be 0 / 0
    assert found.probability == pytest.approx(1 / 3)
