"""What a model says of an audited dataset's pictures: by a bundle, or by a file of predictions."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.audit.audited_pictures import AuditSource, Part, part_of_each
from torchstone_runtime.audit.duplicates import ignore
from torchstone_runtime.audit.label_errors import Confidences, LabelError, find_label_errors
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.left_out import recorded_left_out, without_classes
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.choose_split import (
    align_classes,
    certified_fingerprint,
    is_of_a_fold,
    recorded_samples,
)
from torchstone_runtime.evaluation.predictions_file import read_probabilities
from torchstone_runtime.text import shortlist

if TYPE_CHECKING:
    from torchstone_runtime.data.split import ImageStore
    from torchstone_runtime.inference.classifier import Classifier

_SHOWN: Final = 5
_KEPT: Final = 10


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """The probabilities that a model gives to some of the pictures.

    Attributes:
        indices: indices of the pictures over all parts, ascending, int64 [M].
        confidences: labels and probabilities of the M pictures.
        class_names: the K classes that these name.
        origin: phrase that says whose probabilities they are.
        seen: whether the model may have been trained on these pictures, so that it has learnt their wrong labels.
        known_as_seen: whether the bundle's record of its training counts as many pictures as there are.
    """

    indices: Int64Array
    confidences: Confidences
    class_names: tuple[str, ...]
    origin: str
    seen: bool
    known_as_seen: bool = False

    def label_errors(self) -> list[LabelError]:
        """Return the likely label errors, by the pictures' indices over all parts, most confident first."""
        found = find_label_errors(self.confidences, len(self.class_names))
        return [replace(error, index=int(self.indices[error.index])) for error in found]


def predict_with(
    classifier: "Classifier",
    source: AuditSource,
    readable: npt.NDArray[np.bool_],
    name: str,
    on_pictures: Callable[[int], object] = ignore,
) -> list[Predicted]:
    """Classify the readable pictures of every part; the parts are judged apart, for one may have been trained on.

    Pictures of classes that the model's training left out (`--min-class-size`) are not classified.

    Args:
        classifier: the model.
        source: the data.
        readable: whether each picture can be read, over all parts, [N].
        name: name of the model for people.
        on_pictures: function that is told the number of pictures that were classified.

    Raises:
        DataError: the data has classes that the model doesn't know, or arrays of another shape.
    """
    results, start = [], 0
    left_out = set(recorded_left_out(classifier.provenance.get("dataset", {}))) - set(classifier.class_names)
    gone = [index for index, name in enumerate(source.class_names) if name in left_out]
    for part in source.parts:
        usable = np.flatnonzero(readable[start : start + len(part)] & ~np.isin(part.labels, gone))
        if len(usable):
            split = _split_of(part, source, usable, classifier, left_out)
            results.append(
                Predicted(
                    usable + start,
                    _confidences(classifier, split, on_pictures),
                    split.class_names,
                    name if part.name == "whole" else f"{name} on the {part.name} part",
                    _may_have_seen(classifier, part),
                    _counts_as_many(classifier, part, len(part) - int(np.isin(part.labels, gone).sum())),
                )
            )
        start += len(part)
    return results


def _may_have_seen(classifier: "Classifier", part: Part) -> bool:
    trained_here = certified_fingerprint(classifier.provenance) is not None
    return trained_here and part.name in ("train", "whole")


def _counts_as_many(classifier: "Classifier", part: Part, count: int) -> bool:
    """Return whether the record of the training counts as many pictures as a part has of the classes it took."""
    samples = recorded_samples(classifier.provenance)
    if not samples:
        return False
    if part.name == "whole":
        return count == sum(samples.values())
    divided = samples["train"] + (samples["test"] if is_of_a_fold(classifier.provenance) else 0)
    return count in (divided, divided + samples["validation"])  # the second without a validation part of its own


def _confidences(classifier: "Classifier", split: Split, on_pictures: Callable[[int], object]) -> Confidences:
    batches, start = [], 0
    for images in split.batches():
        found = classifier.predict(images, unanswered="keep")
        probabilities = np.where(found.answered[:, None], found.probabilities, np.nan).astype(np.float64)
        batches.append(Confidences.of(split.labels[start : start + len(images)], probabilities))
        start += len(images)
        on_pictures(len(images))
    return Confidences.joined(batches)


def _split_of(
    part: Part, source: AuditSource, usable: Int64Array, classifier: "Classifier", left_out: Collection[str]
) -> Split:
    known = {name: index for index, name in enumerate(classifier.class_names)}
    if part.store is not None:
        whole = Split(part.name, part.store, part.labels, part.class_names, part.ids, source.names_given)
        known_classes = without_classes(whole, left_out).in_order(classifier.class_names)
        split = align_classes(known_classes, classifier.class_names)
        from torchstone_runtime.evaluation.evaluate import check_shape  # noqa: PLC0415 - it needs ONNX Runtime

        check_shape(classifier, split)
        return split
    if unknown := [name for name in part.class_names if name not in known and name not in left_out]:
        raise DataError(
            f"The data has classes that the model does not know: {shortlist(unknown)}.",
            f"The model's classes: {shortlist(classifier.class_names)}.",
        )
    place = np.array([known.get(name, -1) for name in source.class_names], dtype=np.int64)
    store: ImageStore
    if part.contents is not None:
        store = replace(part.contents.select(usable), spec=classifier.input_spec)
    else:
        store = FileStore(Path(), [str(part.paths[index]) for index in usable.tolist()], classifier.input_spec)
    ids = [part.ids[index] for index in usable.tolist()]
    return Split(part.name, store, place[part.labels[usable]], classifier.class_names, ids)


def read_predicted(path: Path, source: AuditSource) -> Predicted:
    """Match a file of predictions with the pictures of the part that it is of.

    Args:
        path: file that `evaluate --predictions` or `train --folds` wrote.
        source: the data.

    Raises:
        DataError: not such a file, or of pictures that this data doesn't have, or that several parts have alike.
    """
    given, classes, probabilities = read_probabilities(path)
    names = [given.class_names[label] for label in given.labels.tolist()]
    found = _best_matching(path, source, given.ids, names)
    if (found < 0).any():
        lost = [given.ids[place] for place in np.flatnonzero(found < 0).tolist()]
        raise DataError(
            f"{path} has {len(lost):,} of {len(found):,} predictions for pictures that {source.ref} does not have "
            f"under these classes: {shortlist(lost, _SHOWN)}.",
            "Give the data that the predictions were made for, unchanged.",
        )
    order = np.argsort(found)
    own = np.where(classes == given.labels[:, None], probabilities, -1).max(axis=1)
    confidences = Confidences(given.labels[order], own[order], *_best_first(classes[order], probabilities[order]))
    return Predicted(found[order], confidences, given.class_names, f"the predictions in {path}", seen=False)


def _best_first(classes: Int64Array, probabilities: Float64Array) -> tuple[Int64Array, Float64Array]:
    order = np.argsort(-np.nan_to_num(probabilities, nan=-1), axis=1, kind="stable")[:, :_KEPT]
    return np.take_along_axis(classes, order, axis=1), np.take_along_axis(probabilities, order, axis=1)


def _best_matching(path: Path, source: AuditSource, ids: Sequence[str], names: Sequence[str]) -> Int64Array:
    """Return the index over all parts of each picture, -1 for none, as the part has them that the predictions are of.

    Parts often name their pictures alike, each from 1 on. Predictions are made for a whole part, so they are of the
    one in which they leave out none.
    """
    matchings = list(_matchings(source, ids, names))
    fitting = [matching for matching in matchings if (matching.places >= 0).all()]
    if not fitting:
        return max((matching.places for matching in matchings), key=lambda places: int((places >= 0).sum()))
    best = [matching for matching in fitting if matching.size == len(ids)] or fitting
    if any(not np.array_equal(best[0].places, other.places) for other in best[1:]):
        parts = " or of the ".join(matching.part for matching in best)
        raise DataError(
            f"{path} may be of the {parts} part of {source.ref}: their pictures have the same names.",
            "Give that part alone, in the way of folder:PATH/test.",
        )
    return best[0].places


@dataclass(frozen=True, eq=False, slots=True)
class _Matching:
    """A way to read ids: as those of a part of `size` pictures, or of all parts; the place of each is -1 if unknown."""

    part: str
    size: int
    places: Int64Array


def _matchings(source: AuditSource, ids: Sequence[str], names: Sequence[str]) -> Iterator[_Matching]:
    """Yield for each way to read the ids the index over all parts of each picture."""
    labels = np.concatenate([part.labels for part in source.parts]).tolist()
    whole = [name for part in source.parts for name in part.names]
    readings: list[tuple[str, int, Sequence[str]]] = [("whole", 0, whole)]
    for part, (_, start, _) in zip(source.parts, part_of_each(source), strict=True):
        readings.append((part.name, start, part.ids))
    for part_name, start, known in readings:
        place = {identifier: index for index, identifier in enumerate(known, start)}
        found = [place.get(identifier, -1) for identifier in ids]
        fits = [
            index if index >= 0 and source.class_names[labels[index]] == name else -1
            for index, name in zip(found, names, strict=True)
        ]
        yield _Matching(part_name, len(known), np.array(fits, dtype=np.int64))
