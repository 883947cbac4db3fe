"""Measuring a classifier on a labelled split."""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.data.class_map import ClassMap
from torchstone_runtime.data.split import READ_BATCH, Split
from torchstone_runtime.drift.drift_report import DriftReport
from torchstone_runtime.errors import DataError, NoAnswerError
from torchstone_runtime.evaluation.choose_split import align_classes
from torchstone_runtime.evaluation.conformal_sets import SetFigures
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.evaluation.validation_watch import ValidationWatch
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.probability_scores import ProbabilityScores, ScoreTally
from torchstone_runtime.progress import stage

_BATCH: Final = 8 * READ_BATCH
_IDS_SHOWN: Final = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation(LabelledPredictions):
    """A classifier measured on a split.

    Attributes:
        split: the images.
        scores: scores of its probabilities.
        seconds: duration of reading, decoding and inference.
        sets: coverage and sizes of sets of classes; None where they were not measured.
        drift: distance of the images from the validation images; None where it was not measured.
    """

    split: Split
    scores: ProbabilityScores
    seconds: float
    sets: SetFigures | None = None
    drift: DriftReport | None = None

    @property
    def decisions_sha256(self) -> str:
        """SHA-256 (hex) of the predicted classes, see `decisions_sha256`."""
        return decisions_sha256(self.predicted)


BatchSink = Callable[[Split, int, Predictions], None]
"""Called after each batch with the split, the index of the batch's first sample, and its predictions."""


def to_each(sinks: Sequence[BatchSink]) -> BatchSink | None:
    """Return a function that calls each of several in turn; None where there is none."""
    if not sinks:
        return None

    def add(split: Split, start: int, predictions: Predictions) -> None:
        for sink in sinks:
            sink(split, start, predictions)

    return add


def evaluate(
    classifier: Classifier,
    split: Split,
    on_batch: BatchSink | None = None,
    *,
    class_map: ClassMap | Mapping[str, str | None] | None = None,
    watch: ValidationWatch | None = None,
) -> Evaluation:
    """Classify every sample of a split and compare with its labels, in bounded memory.

    A sample for which the model gives no answer counts as wrong, see `Evaluation.unanswered_ids` and `require_answers`.

    Args:
        classifier: the model.
        split: labelled images.
        on_batch: function that is called after each batch.
        class_map: map from the split's class names to the model's, None for a class that is left out;
            `Evaluation.split.mapped` tells its effect.
        watch: comparison with the validation images; none if None.

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
    started, beside = time.perf_counter(), 0.0
    start = 0
    with stage(f"classifying {split.name}", len(split)) as done:
        for images in split.batches(_BATCH):
            predictions = classifier.predict(images, unanswered="keep")
            part = slice(start, start + len(images))
            predicted[part] = predictions.indices_or_none
            confidence[part] = np.nan_to_num(predictions.confidences)
            tally.add(predictions.logits, predictions.probabilities, split.labels[part], predicted[part] != NO_ANSWER)
            if on_batch:
                on_batch(split, start, predictions)
            if watch:
                paused = time.perf_counter()
                watch.add(images, predictions, split.labels[part])
                beside += time.perf_counter() - paused
            start += len(images)
            done(len(images))
    seconds = time.perf_counter() - started - beside
    found = (split.ids, split.class_names, split.labels, predicted, confidence)
    sets, drift = (watch.sets(), watch.drift()) if watch else (None, None)
    return Evaluation(*found, split=split, scores=tally.scores(), seconds=seconds, sets=sets, drift=drift)


def decisions_sha256(predicted: Int64Array) -> str:
    """Return the SHA-256 (hex) of predicted classes as little-endian int64; equal where two models decide alike."""
    return hashlib.sha256(predicted.astype("<i8").tobytes()).hexdigest()


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
        ids: ids of the samples for which the model gave no answer.
        total: number of all samples.
        where: phrase that names the model or the pictures, where there are several; else empty.

    Raises:
        NoAnswerError: there are such samples; some are named.
    """
    if ids:
        shown = ", ".join(ids[:_IDS_SHOWN]) + (", …" if len(ids) > _IDS_SHOWN else "")
        raise NoAnswerError(
            f"{where}The model gives no answer for {len(ids):,} of {total:,} images: its outputs are not finite "
            f"numbers (NaN), or no probabilities. They count as wrong: {shown}."
        )


def _shape(shape: tuple[int, int, int]) -> str:
    return " x ".join(map(str, shape))
