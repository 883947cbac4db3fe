"""Measuring a classifier on a labelled split."""

import hashlib
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.catalog import Dataset
from torchstone_runtime.data.class_map import ClassMap
from torchstone_runtime.data.split import READ_BATCH, Split
from torchstone_runtime.errors import DataError, NoAnswerError, UsageError
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.probability_scores import ProbabilityScores, ScoreTally
from torchstone_runtime.text import shortlist

_BATCH: Final = 8 * READ_BATCH
_IDS_SHOWN: Final = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(LabelledPredictions):
    """A classifier measured on a split.

    Attributes:
        split: the images.
        scores: scores of its probabilities.
        seconds: duration of reading, decoding and inference.
    """

    split: Split
    scores: ProbabilityScores
    seconds: float

    @property
    def decisions_sha256(self) -> str:
        """SHA-256 (hex) of the predicted classes, see `decisions_sha256`."""
        return decisions_sha256(self.predicted)


BatchSink = Callable[[Split, int, Predictions], None]
"""Called after each batch with the split, the index of the batch's first sample, and its predictions."""


def evaluate(
    classifier: Classifier,
    split: Split,
    on_batch: BatchSink | None = None,
    *,
    class_map: ClassMap | Mapping[str, str | None] | None = None,
) -> Evaluation:
    """Classify every sample of a split and compare with its labels, in bounded memory.

    A sample for which the model gives no answer counts as wrong, see `Evaluation.unanswered_ids` and `require_answers`.

    Args:
        classifier: the model.
        split: labelled images.
        on_batch: is called after each batch.
        class_map: what the model calls the split's classes, None for one that is left out; `Evaluation.split.mapped`
            then tells what it did.

    Raises:
        DataError: the split's classes, mapped or not, or its image shape are not the model's.
        ImageError: a file of the split cannot be decoded.
    """
    if class_map is not None:
        mapping = class_map if isinstance(class_map, ClassMap) else ClassMap.of(class_map.items())
        split = mapping.apply(split, classifier.class_names)
    split = align_classes(split, classifier.class_names)
    check_shape(classifier, split)
    predicted = np.empty(len(split), dtype=np.int64)
    confidence = np.empty(len(split), dtype=np.float32)
    tally = ScoreTally(len(split))
    started = time.perf_counter()
    start = 0
    for images in split.batches(_BATCH):
        predictions = classifier.predict(images, unanswered="keep")
        part = slice(start, start + len(images))
        predicted[part] = predictions.indices_or_none
        confidence[part] = np.nan_to_num(predictions.confidences)
        tally.add(predictions.logits, predictions.probabilities, split.labels[part], predicted[part] != NO_ANSWER)
        if on_batch:
            on_batch(split, start, predictions)
        start += len(images)
    seconds = time.perf_counter() - started
    found = (split.ids, split.class_names, split.labels, predicted, confidence)
    return Evaluation(*found, split=split, scores=tally.scores(), seconds=seconds)


def decisions_sha256(predicted: Int64Array) -> str:
    """Return the SHA-256 (hex) of predicted classes as little-endian int64; equal where two models decide alike."""
    return hashlib.sha256(predicted.astype("<i8").tobytes()).hexdigest()


def choose_split(dataset: Dataset, wanted: str, provenance: Mapping[str, Any]) -> tuple[Split, str]:
    """Return the split to evaluate, and why it was chosen.

    Args:
        dataset: the labelled source.
        wanted: `auto`, `test`, `train` (all that is not test) or `all`.
        provenance: of the bundle; its dataset fingerprints tell whether the model was trained on this source.

    With `auto` a source's own test part is taken. A source without one is taken whole, unless the fifth of it that
    training would hold out is the very test split of the bundle: then it is the model's own data, and only the
    held-out part is fair.
    """
    if wanted == "train":
        return dataset.training(), "all that is not held out for the test"
    if wanted == "test" or dataset.has_test_part:
        if wanted == "all":
            raise UsageError(f"{dataset.ref} has separate train and test parts.", "Use --split train or test.")
        reason = "its own test part" if dataset.has_test_part else "the fifth that training holds out"
        return dataset.test(), reason
    whole = dataset.whole()
    if wanted == "all":
        return whole, "every image, as asked for"
    try:
        held_out = dataset.test()
    except DataError:
        return whole, "every image: too few to have been split"
    if held_out.fingerprint == certified_fingerprint(provenance):
        done = "certified" if "origin" in provenance else "trained"
        return held_out, f"the fifth that was held out when the model was {done} on this data"
    return whole, "every image: the model was not trained on this data as it is now"


def certified_fingerprint(provenance: Mapping[str, Any]) -> str | None:
    """Return the fingerprint of the test split that a bundle was certified on."""
    try:
        return str(provenance["dataset"]["test"]["fingerprint"])
    except (KeyError, TypeError):
        return None


def certified_test_split(dataset: Dataset, provenance: Mapping[str, Any]) -> Split:
    """Return the test split that a bundle was certified on.

    Raises:
        DataError: the dataset holds another one.
    """
    split = dataset.test()
    if split.fingerprint != certified_fingerprint(provenance):
        raise DataError(
            f"{dataset.ref} is not the data that the bundle was certified on: its test split has the fingerprint "
            f"{split.fingerprint[:16]}…, the certificate states {str(certified_fingerprint(provenance))[:16]}….",
            "Give the dataset of the training, or measure on this one with 'torchstone evaluate'.",
        )
    return split


def align_classes(split: Split, class_names: tuple[str, ...]) -> Split:
    """Return the split with the model's class names where it names none itself.

    Raises:
        DataError: its classes, by name and order, are not the model's.
    """
    if split.class_names == class_names:
        return split
    same = tuple(map(_normal, split.class_names)) == tuple(map(_normal, class_names))
    if same or (not split.names_given and len(split.class_names) <= len(class_names)):
        return replace(split, class_names=class_names)
    raise DataError(
        "The classes of the data are not those of the model.",
        f"The data's:  {shortlist(split.class_names)}.\nThe model's: {shortlist(class_names)}.",
    )


def check_shape(classifier: Classifier, split: Split) -> None:
    """Check that a split's images are of the shape that a model takes.

    Raises:
        DataError: they are not.
    """
    if split.image_shape != classifier.input_spec.shape:
        raise DataError(
            f"The images are {_shape(split.image_shape)}; the model takes {_shape(classifier.input_spec.shape)} "
            "(channels x height x width).",
            "Use data of that size, or an image folder, whose pictures are converted.",
        )


def require_answers(ids: Sequence[str], total: int, where: str = "") -> None:
    """Check that a model gave an answer for every sample.

    Args:
        ids: of the samples for which it gave none.
        total: all samples.
        where: which model or pictures, where there are several.

    Raises:
        NoAnswerError: there are such samples; some are named.
    """
    if ids:
        shown = ", ".join(ids[:_IDS_SHOWN]) + (", …" if len(ids) > _IDS_SHOWN else "")
        raise NoAnswerError(
            f"{where}The model gives no answer for {len(ids):,} of {total:,} images: its outputs are not finite "
            f"numbers (NaN), or no probabilities. They count as wrong: {shown}."
        )


def _normal(name: str) -> str:
    # The same letters may be written in two ways: é as one character, or as e and an accent.
    return unicodedata.normalize("NFC", name)


def _shape(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))
