import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.decode import ImageInput
from torchstone_runtime.inference.classifier import DECODE_BATCH, Classifier
from torchstone_runtime.inference.predictions import Predictions


@pytest.fixture(scope="module")
def images(digits: Split) -> Uint8Array:
    """200 digits, (N, 1, 28, 28): three whole micro-batches and a ragged one."""
    return digits.store.read(np.arange(200))


@pytest.fixture(scope="module")
def expected(classifier: Classifier, images: Uint8Array) -> Predictions:
    """What the model says of them."""
    return classifier.predict(images)


def test_it_recognises_digits(expected: Predictions, digits: Split) -> None:
    """Most of the predictions are right: the pixels reach the model the right way up."""
    assert (expected.indices == digits.labels[:200]).mean() > 0.85


def test_predictions_belong_together(classifier: Classifier, expected: Predictions) -> None:
    """Probabilities are the softmax of the logits over the temperature; labels and top classes follow from them."""
    assert classifier.bundle
    scaled = expected.logits.astype(np.float64) / classifier.bundle.manifest.temperature
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(expected.probabilities, softmax, atol=1e-6)
    assert len(expected) == 200
    assert expected.labels == [str(index) for index in expected.indices]
    top = expected.top(3)
    assert [classes[0] for classes in top] == list(zip(expected.labels, expected.confidences.tolist(), strict=True))
    assert all(len(classes) == 3 and classes[0][1] >= classes[1][1] >= classes[2][1] for classes in top)
    assert len(expected.top(99)[0]) == 10


@pytest.mark.parametrize("shape", [(1, 28, 28), (28, 28), (1, 1, 28, 28)])
def test_one_image_in_every_shape(
    classifier: Classifier, images: Uint8Array, expected: Predictions, shape: tuple[int, ...]
) -> None:
    """With and without the batch and the channel axis."""
    found = classifier.predict(images[5].reshape(shape))
    np.testing.assert_allclose(found.logits, expected.logits[5:6], atol=1e-5)


def test_a_batch_without_channel_axis(classifier: Classifier, images: Uint8Array, expected: Predictions) -> None:
    """(N, H, W) is taken for gray images."""
    np.testing.assert_array_equal(classifier.predict(images[:, 0]).logits, expected.logits)


def test_arrays_that_are_not_contiguous(classifier: Classifier, images: Uint8Array, expected: Predictions) -> None:
    """A view with strides gives what its copy gives."""
    found = classifier.predict(images[::-2])
    np.testing.assert_allclose(found.logits, expected.logits[::-2], atol=1e-5)


def test_pictures_in_every_form(
    classifier: Classifier, images: Uint8Array, expected: Predictions, tmp_path: Path
) -> None:
    """A path, text, bytes, a Pillow image, and sequences of these give what their pixels give."""
    path = tmp_path / "digit.png"
    picture = Image.fromarray(images[7, 0])
    picture.save(path)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    forms: list[ImageInput] = [path, str(path), buffer.getvalue(), picture]
    for form in forms:
        np.testing.assert_allclose(classifier.predict(form).logits, expected.logits[7:8], atol=1e-5)
    assert classifier.predict(forms).labels == [expected.labels[7]] * 4
    assert classifier.predict(tuple(forms)).labels == [expected.labels[7]] * 4


def test_pictures_of_another_size_and_mode(classifier: Classifier) -> None:
    """They are converted and stretched."""
    assert len(classifier.predict(Image.new("RGBA", (100, 50)))) == 1


def test_no_images_give_no_rows(classifier: Classifier, images: Uint8Array) -> None:
    """An empty array and an empty list have outputs of the usual width."""
    nothings: list[Uint8Array | list[ImageInput]] = [images[:0], images[:0, 0], []]
    for nothing in nothings:
        found = classifier.predict(nothing)
        assert found.logits.shape == found.probabilities.shape == (0, 10)
        assert found.labels == []
        assert found.confidences.shape == (0,)
        assert found.top(2) == []


def test_streaming_gives_the_same_in_order(classifier: Classifier, images: Uint8Array, expected: Predictions) -> None:
    """A batch at a time, the last one smaller, from any iterable."""
    pictures = (Image.fromarray(image[0]) for image in images)
    parts = list(classifier.stream(pictures, batch_size=64))
    assert [len(part) for part in parts] == [64, 64, 64, 8]
    assert [label for part in parts for label in part.labels] == expected.labels


def test_streaming_reads_no_further_than_the_batch(classifier: Classifier) -> None:
    """Memory is bounded: the source is asked for one batch before the first result."""
    taken = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal taken
        while True:
            taken += 1
            yield Image.new("L", (28, 28))

    stream = classifier.stream(endless())
    assert len(next(stream)) == taken == DECODE_BATCH
    stream.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_changes_nothing(
    digits_bundle: Path, images: Uint8Array, expected: Predictions, threads: int
) -> None:
    """Tiles are the same, so that the outputs are the same bit for bit."""
    with Classifier.load(digits_bundle, provider="cpu", threads=threads) as other:
        assert other.plan.threads == threads
        np.testing.assert_array_equal(other.predict(images).logits, expected.logits)


def test_several_threads_may_use_it_at_once(classifier: Classifier, images: Uint8Array, expected: Predictions) -> None:
    """Calls that overlap don't disturb one another."""
    starts = [0, 1, 30, 63, 64, 65, 100, 127] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda start: classifier.predict(images[start:]).indices.tolist(), starts))
    assert found == [expected.indices[start:].tolist() for start in starts]


def test_a_lone_model_file_works(digits_bundle: Path, images: Uint8Array, expected: Predictions) -> None:
    """It carries its classes and input itself."""
    name = Bundle.open(digits_bundle).manifest.name
    with Classifier.load(digits_bundle / "model.onnx", provider="cpu", threads=1) as lone:
        assert (lone.class_names, lone.name, lone.plan.variant) == (expected.class_names, name, "model.onnx")
        np.testing.assert_array_equal(lone.predict(images).logits, expected.logits)


def test_the_plan_says_what_runs_and_why(digits_bundle: Path) -> None:
    """Variant, provider, reason, threads and micro-batch."""
    with Classifier.load(digits_bundle, provider="cpu", threads=1) as named:
        assert str(named.plan) == "fp32 on cpu (asked for by name), 1 thread, tiles of 64"
    with Classifier.load(digits_bundle) as chosen:
        assert chosen.plan.provider in ("cpu", "cuda")
        assert chosen.plan.reason != "asked for by name"
