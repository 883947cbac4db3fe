"""The pictures that `predict` is given, classified in their order; what can't be classified is told on stderr."""

import sys
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from torchstone_runtime.cli.output import complain, shows_progress
from torchstone_runtime.errors import DataError
from torchstone_runtime.progress import Advance, stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from torchstone_runtime.drift.monitor import DriftMonitor
    from torchstone_runtime.images.find import Picture
    from torchstone_runtime.images.image_formats import OtherFiles
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.inference.predict_pictures import FailedImage, PicturePrediction


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """The options of `predict`, as they were given."""

    paths: tuple[str, ...]
    top: int
    form: str
    min_confidence: float
    json_file: Path | None
    gallery: Path | None
    invert: bool
    bits: int | None
    coverage: float | None
    by_class: bool
    drift: bool


def predict_with_progress(
    stack: ExitStack, classifier: "Classifier", options: PredictOptions, monitor: "DriftMonitor | None"
) -> "Iterator[PicturePrediction | FailedImage]":
    """Yield the answers, with a line of progress on a terminal that doesn't show the answers themselves."""
    from torchstone_runtime.images.bit_depth import SAMPLE_SIZE, narrow_warning
    from torchstone_runtime.images.find import STDIN, find_pictures
    from torchstone_runtime.images.image_formats import OtherFiles
    from torchstone_runtime.images.input_spec import MAX_BITS
    from torchstone_runtime.images.picture_header import sampled_depths
    from torchstone_runtime.inference.predict_pictures import SetWish, predict_pictures

    stdin = cast("BufferedReader", sys.stdin.buffer)
    others = OtherFiles()
    stack.callback(_complain_of_others, others)
    pictures = _named_folders(find_pictures(options.paths, stdin, others), options.paths)
    if options.bits is None and classifier.input_spec.bits == MAX_BITS:
        first, pictures = _first_of(pictures, SAMPLE_SIZE)
        if warning := narrow_warning(sampled_depths(picture.source for picture in first)):
            complain(warning)
    side = _thumbnail_side() if options.gallery else 0
    # Closed whatever happens: an interrupted command doesn't wait for pictures that nobody asks for any more.
    answers = stack.enter_context(
        closing(
            predict_pictures(
                classifier,
                pictures,
                top=options.top,
                thumbnail_side=side,
                invert=options.invert,
                bits=options.bits,
                sets=None if options.coverage is None else SetWish(options.coverage, options.by_class),
                monitor=monitor,
            )
        )
    )
    if not shows_progress() or sys.stdout.isatty():
        return answers
    counted = 0 if STDIN in options.paths else _count(find_pictures(options.paths, stdin))
    done = stack.enter_context(stage("classifying", counted, "pictures"))
    return _counted(answers, done)


def _thumbnail_side() -> int:
    from torchstone_runtime.report.prediction_gallery import THUMBNAIL_SIDE

    return THUMBNAIL_SIDE


def _counted(
    answers: "Iterator[PicturePrediction | FailedImage]", done: Advance
) -> "Iterator[PicturePrediction | FailedImage]":
    for answer in answers:
        yield answer
        done(1)


def _first_of(pictures: "Iterator[Picture]", count: int) -> "tuple[list[Picture], Iterator[Picture]]":
    """Return the first pictures, and all of them; what goes wrong among the first is told in its turn."""
    first: list[Picture] = []
    try:
        for picture in islice(pictures, count):
            first.append(picture)  # noqa: PERF402 - what came before an error counts
    except DataError as error:
        return first, _all_of(first, pictures, error)
    return first, _all_of(first, pictures, None)


def _all_of(first: "list[Picture]", others: "Iterator[Picture]", failure: DataError | None) -> "Iterator[Picture]":
    yield from first
    if failure is not None:
        raise failure
    yield from others


def _count(pictures: "Iterator[Picture]") -> int:
    count = 0
    with suppress(DataError):
        for _ in pictures:
            count += 1
    return count


def _named_folders(pictures: "Iterator[Picture]", paths: tuple[str, ...]) -> "Iterator[Picture]":
    """Yield the pictures; where a folder holds none, say what it is where that is known."""
    try:
        yield from pictures
    except DataError as error:
        raise _named(error, paths) from error


def _named(error: DataError, paths: tuple[str, ...]) -> DataError:
    from torchstone_runtime.path_kinds.wanted import not_pictures

    for path in paths:
        if error.problem == f"{path} holds no image files." and (message := not_pictures(Path(path))):
            return DataError(*message)
    return error


def _complain_of_others(others: "OtherFiles") -> None:
    for line in others.lines("the folders"):
        complain(line)
