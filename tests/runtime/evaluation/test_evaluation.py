import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.support import write_image_tree
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.certificate.recheck import CertifiedTest, recheck_test
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.errors import DataError, NoAnswerError, UsageError
from torchstone_runtime.evaluation.choose_split import (
    align_classes,
    certified_fingerprint,
    certified_test_split,
    choose_split,
)
from torchstone_runtime.evaluation.evaluate import Evaluation, decisions_sha256, evaluate, require_answers
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER

DIGITS = Dataset(DatasetRef("digits"), Path())


def trained_on(fingerprint: str) -> dict[str, Any]:
    """Return the provenance of a bundle certified on that test split."""
    return {"dataset": {"test": {"fingerprint": fingerprint}}}


@pytest.fixture(scope="module")
def evaluation(classifier: Classifier, digits: Split) -> Evaluation:
    """The model measured on all digits."""
    return evaluate(classifier, digits)


def test_it_counts_what_predict_says(classifier: Classifier, digits: Split, evaluation: Evaluation) -> None:
    """Accuracy and confusion matrix follow from the predictions of the same images."""
    predicted = classifier.predict(digits.store.read(np.arange(len(digits)))).indices
    np.testing.assert_array_equal(evaluation.predicted, predicted)
    assert evaluation.metrics.accuracy == (predicted == digits.labels).mean()
    for i in range(10):
        counts = np.bincount(predicted[digits.labels == i], minlength=10)
        assert evaluation.metrics.confusion[i].tolist() == counts.tolist()


def test_confidence_is_the_probability_of_the_predicted_class(
    classifier: Classifier, digits: Split, evaluation: Evaluation
) -> None:
    """Of each sample, in the split's order."""
    predictions = classifier.predict(digits.store.read(np.arange(len(digits))))
    np.testing.assert_allclose(evaluation.confidence, predictions.confidences, rtol=1e-5)
    assert evaluation.confidence.dtype == np.float32


def test_wrong_ones_are_all_mistakes_the_most_confident_first(digits: Split, evaluation: Evaluation) -> None:
    """Every sample whose predicted class is not the true one, by falling confidence."""
    wrong = evaluation.wrong()
    assert set(wrong.tolist()) == set(np.flatnonzero(evaluation.predicted != digits.labels).tolist())
    assert (np.diff(evaluation.confidence[wrong]) <= 0).all()


class NotANumber:
    """A model whose third image has no probabilities."""

    def __init__(self, classifier: Classifier) -> None:
        self.class_names = classifier.class_names
        self.input_spec = classifier.input_spec
        self.plan = classifier.plan

    def predict(self, images: Uint8Array, *, unanswered: str) -> Predictions:
        """Return NaN for the third image."""
        assert unanswered == "keep"
        outputs = np.full((len(images), len(self.class_names)), 0.1, dtype=np.float32)
        outputs[2] = np.nan
        return Predictions(self.class_names, outputs, outputs)


def test_an_image_without_an_answer_counts_as_wrong(classifier: Classifier, digits: Split) -> None:
    """It would be counted as class 0, the place of the first NaN, and here be right."""
    model: Any = NotANumber(classifier)
    zeros = digits.select(np.flatnonzero(digits.labels == 0)[:10], "x")
    found = evaluate(model, zeros)
    assert found.unanswered_ids == [found.ids[2]]
    assert (found.predicted[2], found.confidence[2]) == (NO_ANSWER, 0)
    assert (found.metrics.accuracy, found.metrics.total, found.scores.top_k[2].value) == (0.9, 10, 0.9)
    assert found.scores.log_loss.value == pytest.approx(0.9 * math.log(10) + 0.1 * -math.log(2**-23), abs=1e-6)


def test_images_without_an_answer_are_named() -> None:
    """The first ten of them."""
    with pytest.raises(NoAnswerError, match=r"no answer for 12 of 40 images.*: a, b, c, d, e, f, g, h, i, j, …\.$"):
        require_answers("abcdefghijkl", 40)
    require_answers([], 40)


def test_a_certified_split_must_be_answered_whole(classifier: Classifier, digits: Split) -> None:
    """`verify --data` names the image, before any digest is compared."""
    model: Any = NotANumber(classifier)
    with pytest.raises(NoAnswerError, match=r"fp32: The model gives no answer for 1 of 10 images.*: 2\.$"):
        recheck_test(model, digits.select(np.arange(10), "x"), CertifiedTest(1.0, "0" * 64, None))


def test_the_digest_is_the_documented_hash(evaluation: Evaluation) -> None:
    """SHA-256 over the classes as little-endian int64; one other decision changes it."""
    assert evaluation.decisions_sha256 == hashlib.sha256(evaluation.predicted.astype("<i8").tobytes()).hexdigest()
    other = evaluation.predicted.copy()
    other[5] = (other[5] + 1) % 10
    assert decisions_sha256(other) != evaluation.decisions_sha256


def test_each_batch_is_passed_on_in_order(classifier: Classifier, digits: Split, evaluation: Evaluation) -> None:
    """Batches follow one another without gap or overlap and cover everything."""
    found: list[int] = []

    def collect(split: Split, start: int, predictions: Predictions) -> None:
        assert start == len(found)
        assert split.class_names == classifier.class_names
        found.extend(predictions.indices.tolist())

    evaluate(classifier, digits.select(np.arange(500), "part"), collect)
    assert found == evaluation.predicted[:500].tolist()


def test_images_of_another_size_are_refused(classifier: Classifier) -> None:
    """Both sizes are told."""
    split = Split("x", ArrayStore(np.zeros((2, 3, 28, 28), np.uint8)), np.array([0, 1]), classifier.class_names, "ab")
    with pytest.raises(DataError, match=r"3 x 28 x 28; the model takes 1 x 28 x 28"):
        evaluate(classifier, split)


def test_a_source_of_its_own_training_gives_the_part_held_out() -> None:
    """Measuring on what was trained on would flatter the model."""
    split, reason = choose_split(DIGITS, "auto", trained_on(DIGITS.test().fingerprint))
    assert (split.name, len(split)) == ("test", 359)
    assert "held out" in reason


@pytest.mark.parametrize("provenance", [{}, trained_on("0" * 64), {"dataset": None}])
def test_another_source_is_taken_whole(provenance: dict[str, Any]) -> None:
    """Every image is new to the model."""
    split, reason = choose_split(DIGITS, "auto", provenance)
    assert (split.name, len(split)) == ("whole", 1797)
    assert "not trained on this data" in reason


def of_a_fold(samples: int) -> dict[str, Any]:
    """Return the provenance of a bundle of a fold that divided so many images."""
    counts = {"train": samples - 30, "validation": 10, "test": 20}
    parts = {name: {"samples": count, "fingerprint": "0" * 64} for name, count in counts.items()}
    return {"dataset": {"fold": {"number": 1, "of": 5}, **parts}}


@pytest.mark.parametrize(("samples", "count"), [(1438, 359), (1437, 1797)])
def test_the_data_of_a_fold_gives_what_no_fold_was_given(samples: int, count: int) -> None:
    """Known by the number of images, for the test split of a fold is no split of the data."""
    assert len(choose_split(DIGITS, "auto", of_a_fold(samples))[0]) == count


@pytest.mark.parametrize(("wanted", "count"), [("test", 359), ("train", 1438), ("all", 1797)])
def test_a_part_asked_for_is_taken(wanted: SplitChoice, count: int) -> None:
    """Whatever the bundle was trained on."""
    assert len(choose_split(DIGITS, wanted, trained_on(DIGITS.test().fingerprint))[0]) == count


def test_a_source_too_small_to_be_split_is_taken_whole(tmp_path: Path, gray: InputSpec) -> None:
    """One image a class cannot have been divided."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    dataset = Dataset(DatasetRef("folder", tmp_path), tmp_path, gray)
    split, reason = choose_split(dataset, "auto", {})
    assert len(split) == 2
    assert "too few" in reason


def test_a_source_with_a_test_part_gives_that(tmp_path: Path, gray: InputSpec) -> None:
    """`all` is refused, as the parts are separate."""
    write_image_tree(tmp_path / "train", {"a": 3, "b": 3})
    write_image_tree(tmp_path / "test", {"a": 1, "b": 1})
    dataset = Dataset(DatasetRef("folder", tmp_path), tmp_path, gray)
    assert len(choose_split(dataset, "auto", {})[0]) == 2
    assert len(choose_split(dataset, "train", {})[0]) == 6
    with pytest.raises(UsageError, match="separate train and test parts"):
        choose_split(dataset, "all", {})


def test_the_certified_split_must_be_the_same() -> None:
    """Another fingerprint than the bundle's is refused, with both."""
    fingerprint = DIGITS.test().fingerprint
    assert certified_test_split(DIGITS, trained_on(fingerprint)).fingerprint == fingerprint
    assert certified_fingerprint({"dataset": []}) is None
    with pytest.raises(DataError, match=rf"{fingerprint[:16]}…, the certificate states 1234"):
        certified_test_split(DIGITS, trained_on("1234"))


def test_the_split_of_a_fold_is_checked_by_its_run() -> None:
    """No dataset has it, not even that of the training."""
    with pytest.raises(DataError) as caught:
        certified_test_split(DIGITS, of_a_fold(1438))
    assert "verify --run" in caught.value.remedy


def numbered(names: tuple[str, ...], *, names_given: bool) -> Split:
    """Return a tiny split with these class names."""
    return Split("x", ArrayStore(np.zeros((2, 1, 2, 2), np.uint8)), np.array([0, 1]), names, "ab", names_given)


def test_numbers_get_the_models_names() -> None:
    """A source that names no classes takes the model's, of which it may use fewer; named ones must be equal."""
    model = ("boot", "shirt", "bag")
    assert align_classes(numbered(("0", "1"), names_given=False), model).class_names == model
    assert align_classes(numbered(model, names_given=True), model).class_names == model


@pytest.mark.parametrize(
    ("names", "names_given"),
    [(("shirt", "boot", "bag"), True), (("boot", "shirt"), True), (("0", "1", "2", "3"), False)],
)
def test_other_classes_are_refused(names: tuple[str, ...], names_given: bool) -> None:
    """Another order, fewer named classes, or more numbers than the model knows."""
    with pytest.raises(DataError, match=r"(?s)not those of the model.*boot, shirt, bag"):
        align_classes(numbered(names, names_given=names_given), ("boot", "shirt", "bag"))
