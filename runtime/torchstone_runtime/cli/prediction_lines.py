"""What `predict` writes of each picture: a line on stdout, one in the file of `--json`, an entry in the gallery."""

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from torchstone_runtime.cli.output import complain, is_stdout, tell
from torchstone_runtime.cli.picture_predictions import PredictOptions, predict_with_progress
from torchstone_runtime.cli.prediction_formats import ROWS, csv_header, csv_row, json_row
from torchstone_runtime.cli.streams import stdout_is_lost
from torchstone_runtime.errors import ImageError
from torchstone_runtime.text import showable, showable_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchstone_runtime.drift.monitor import DriftMonitor
    from torchstone_runtime.images.background import BackgroundRange
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.inference.predict_pictures import FailedImage, PicturePrediction
    from torchstone_runtime.report.prediction_gallery import PredictionGallery


@dataclass
class PredictionCounts:
    """Counts of the pictures; `first_foreign` names the first one with another background than the model knows."""

    done: int = 0
    unsure: int = 0
    unanswered: int = 0
    failed: int = 0
    foreign: int = 0
    first_foreign: str = ""


class _Outputs:
    """Where lines and pictures go; the files are whole when `finish` was called and `stack` ends."""

    def __init__(self, stack: ExitStack, classifier: "Classifier", options: PredictOptions) -> None:
        self._options = options
        self._row = partial(csv_row, count=options.top) if options.form == "csv" else ROWS[options.form]
        self._gallery = _open_gallery(stack, classifier, options.gallery)
        self._write_json = _open_json(stack, options.json_file)
        if options.form == "csv":
            click.echo(csv_header(options.top, sets=options.coverage is not None))

    @property
    def unheard(self) -> bool:
        """Whether nobody learns of what follows."""
        return stdout_is_lost() and self._gallery is None and self._write_json is None

    def add(self, item: "PicturePrediction", *, unsure: bool) -> None:
        _echo_row(self._row(item.name, item.top, unsure, item.members))
        if self._write_json:
            self._write_json(json_row(item.name, item.top, unsure, item.members))
        if self._gallery:
            self._gallery.add(item, unsure=unsure)

    def add_failure(self, item: "FailedImage") -> None:
        complain(f"left out: {showable_lines(item.error.lines)}")
        if self._gallery:
            self._gallery.add_failure(item)

    def finish(self) -> None:
        if self._gallery:
            self._gallery.finish()


def print_predictions(
    classifier: "Classifier",
    options: PredictOptions,
    known: "BackgroundRange | None",
    monitor: "DriftMonitor | None",
) -> PredictionCounts:
    """Classify the pictures that `options` name, and print a line for each.

    Args:
        classifier: classifier of the pictures.
        options: options of the command.
        known: background of the pictures that the model was evaluated on; None where it isn't known.
        monitor: monitor that every picture is added to.

    Raises:
        DataError: no pictures, or the single one that was named can't be read.
        OutputError: a file can't be written.
    """
    from torchstone_runtime.inference.predict_pictures import FailedImage

    counts = PredictionCounts()
    alone = len(options.paths) == 1 and not os.path.isdir(options.paths[0])  # noqa: PTH112 - it may be a pattern
    with ExitStack() as stack:
        outputs = _Outputs(stack, classifier, options)
        for item in predict_with_progress(stack, classifier, options, monitor):
            if outputs.unheard:
                raise click.exceptions.Exit(0)
            if not isinstance(item, FailedImage):
                unsure = bool(item.top) and item.top[0][1] < options.min_confidence
                outputs.add(item, unsure=unsure)
                _count(counts, item, known, unsure=unsure)
                continue
            failed = _with_advice(item, options.paths)
            if alone and failed.name == options.paths[0]:
                raise failed.error
            counts.failed += 1
            outputs.add_failure(failed)
        outputs.finish()
    for path in (options.gallery, options.json_file):
        if path is not None and not is_stdout(path):
            tell(f"wrote {path}")
    return counts


def _with_advice(item: "FailedImage", paths: tuple[str, ...]) -> "FailedImage":
    """Return a picture's failure; where it was named and isn't there, with what may have been meant."""
    if item.name not in paths or os.path.lexists(item.name):
        return item
    from torchstone_runtime.path_kinds.wanted import missing_pictures

    return replace(item, error=ImageError(item.error.problem, missing_pictures(Path(item.name))))


def _echo_row(row: str) -> None:
    # Otherwise click takes what looks like a terminal's control sequence out of names that go to a file.
    click.echo(row, color=not sys.stdout.isatty())


def _count(
    counts: PredictionCounts, answer: "PicturePrediction", known: "BackgroundRange | None", *, unsure: bool
) -> None:
    counts.done += 1
    counts.unsure += unsure
    if not answer.top:
        counts.unanswered += 1
        name = showable(click.format_filename(answer.name))
        complain(f"no answer: {name}: the model's outputs are not finite numbers, or not probabilities.")
    if known and known.differs(answer.border_level):
        counts.foreign += 1
        counts.first_foreign = counts.first_foreign or answer.name


def _open_gallery(stack: ExitStack, classifier: "Classifier", path: Path | None) -> "PredictionGallery | None":
    if path is None:
        return None
    from torchstone_runtime.files import atomic_writer, require_writable_parent
    from torchstone_runtime.report.prediction_gallery import PredictionGallery

    require_writable_parent(path)
    file = stack.enter_context(atomic_writer(path))
    return PredictionGallery(file, model=classifier.name, plan=str(classifier.plan))


def _open_json(stack: ExitStack, path: Path | None) -> "Callable[[str], object] | None":
    if path is None or is_stdout(path):
        return None
    from torchstone_runtime.files import atomic_writer

    file = stack.enter_context(atomic_writer(path))
    return lambda line: file.write(f"{line}\n".encode())
