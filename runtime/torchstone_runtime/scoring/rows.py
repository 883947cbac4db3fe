"""`ScoredRows`: pictures with the answers to them, as columns; what parts, the library and other engines are given."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.drift.features import confidence_log_odds, image_features
from torchstone_runtime.errors import DataError, ImageError
from torchstone_runtime.images.decode import decode_image, describe
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.scoring.job import OutputOptions
from torchstone_runtime.shards.item import ShardItem

UNANSWERED: Final = "the model gives no answer: its outputs are not finite numbers, or no probabilities."
_NUMBERS: Final = re.compile(r"\d[\d,.]*(?<![,.])")
_MOST_KIND: Final = 120


@dataclass(frozen=True, eq=False, slots=True)
class ScoredRows:
    """N pictures with what the model says of them, in the order in which they were given.

    Attributes:
        ids: N ids.
        labels: N right classes by name; None where it isn't known, or is not a class of the model.
        errors: N reasons why there is no answer; None where there is one.
        predictions: predictions of the pictures that could be decoded, M of them.
        places: int64 [M], place of each of these among the N.
        cells: int64 [M, F], the cell of each of `drift.reference.FEATURES` that a picture falls into; None where
            drift was not asked for.
    """

    ids: Sequence[str]
    labels: Sequence[str | None]
    errors: Sequence[str | None]
    predictions: Predictions
    places: Int64Array
    cells: Int64Array | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def columns(self, output: OutputOptions) -> dict[str, list[Any]]:
        """Return N values for each column, by its name, in the order of the columns of a part.

        `id`, `label`, `class`, `probability`, then as asked for `top_classes` and `top_probabilities` (lists, best
        first), `probabilities` (a list of K), `set` (a list, best first), and `error`. Without an answer all but id,
        label and error are None.

        Raises:
            UsageError, BundleError: sets that cannot be promised, see `Predictions.sets`.
        """
        found = self.predictions
        answers = found.labels_or_none
        given: dict[str, Sequence[Any]] = {"class": answers, "probability": found.confidences.tolist()}
        if output.top:
            ranked = found.top(output.top)
            given["top_classes"] = [[name for name, _ in pairs] for pairs in ranked]
            given["top_probabilities"] = [[value for _, value in pairs] for pairs in ranked]
        if output.probabilities:
            given["probabilities"] = found.probabilities.tolist()
        if output.coverage is not None:
            given["set"] = [list(names) for names in found.sets(output.coverage, by_class=output.by_class)]
        columns: dict[str, list[Any]] = {"id": list(self.ids), "label": list(self.labels)}
        columns |= {name: self._spread(values, answers) for name, values in given.items()}
        return {**columns, "error": list(self.errors)}

    def _spread(self, values: Sequence[Any], answers: Sequence[str | None]) -> list[Any]:
        if len(answers) == len(self.ids) and None not in answers:
            return list(values)
        spread: list[Any] = [None] * len(self.ids)
        for place, value, answer in zip(self.places.tolist(), values, answers, strict=True):
            spread[place] = None if answer is None else value
        return spread


def score_items(classifier: Classifier, items: Sequence[ShardItem], output: OutputOptions) -> ScoredRows:
    """Decode and classify some hundred pictures, in this thread.

    Raises:
        DataError: pixels of another shape than the model takes, or a storage that cannot be read.
        UsageError: drift is asked for, and the bundle keeps nothing of its validation images.
    """
    spec = classifier.input_spec if output.bits is None else replace(classifier.input_spec, bits=output.bits)
    pixels: list[Uint8Array] = []
    places: list[int] = []
    errors: list[str | None] = [None] * len(items)
    for place, item in enumerate(items):
        try:
            pixels.append(_pixels(item, spec))
            places.append(place)
        except ImageError as error:
            errors[place] = error.problem
    images = np.stack(pixels) if pixels else np.empty((0, *spec.shape), np.uint8)
    if output.invert:
        images = np.invert(images)
    found = classifier.predict(images, unanswered="keep")
    for index in np.flatnonzero(found.indices_or_none == NO_ANSWER).tolist():
        errors[places[index]] = UNANSWERED
    names = _labels(items, classifier.class_names)
    cells = _drift_cells(classifier, images, found) if output.drift else None
    return ScoredRows([item.id for item in items], names, errors, found, np.array(places, np.int64), cells)


def error_kind(error: str) -> str:
    """Return the text of an error without its numbers, so that equal faults of many pictures are counted as one."""
    return _NUMBERS.sub("#", error)[:_MOST_KIND]


def _pixels(item: ShardItem, spec: InputSpec) -> Uint8Array:
    content = item.load()
    if isinstance(content, bytes):
        try:
            return decode_image(content, spec)
        except ImageError as error:
            what = error.problem.removeprefix(describe(content)).strip()
            raise ImageError(f"the file {what}", error.remedy) from error
    if content.shape != spec.shape:
        found, taken = (" x ".join(map(str, shape)) for shape in (content.shape, spec.shape))
        raise DataError(
            f"{item.id}: the image is {found}; the model takes {taken} (channels x height x width).",
            "Give arrays of that size, or picture files, which are converted.",
        )
    return content


def _labels(items: Sequence[ShardItem], class_names: tuple[str, ...]) -> list[str | None]:
    known, numbered = _by_normal_name(class_names), all(name.isdecimal() for name in class_names)
    named: list[str | None] = []
    for label, is_index in ((item.label, item.is_index) for item in items):
        if isinstance(label, int) and (is_index or not numbered):
            named.append(class_names[label] if 0 <= label < len(class_names) else None)
        else:  # numbers are names for a model whose classes are called by numbers, as they are in an evaluation
            named.append(None if label is None else known.get(unicodedata.normalize("NFC", str(label))))
    return named


@lru_cache(maxsize=8)
def _by_normal_name(class_names: tuple[str, ...]) -> dict[str, str]:
    return {unicodedata.normalize("NFC", name): name for name in class_names}


def _drift_cells(classifier: Classifier, images: Uint8Array, found: Predictions) -> Int64Array:
    reference = classifier.statistics.read().drift
    temperature = classifier.bundle.manifest.temperature if classifier.bundle is not None else 1.0
    with np.errstate(invalid="ignore"):
        return reference.cells(image_features(images), confidence_log_odds(found.logits, temperature))
