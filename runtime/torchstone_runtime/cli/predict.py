"""`torchstone predict`: classes and probabilities of image files."""

import os
import sys
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import BITS_OPTION, BUNDLE_PATH, FILE, load_options
from torchstone_runtime.cli.output import shows_progress, tell, tell_detail
from torchstone_runtime.cli.prediction_formats import ROWS, csv_header, csv_row
from torchstone_runtime.cli.streams import stdout_is_lost
from torchstone_runtime.cli.validation_options import (
    BY_CLASS_OPTION,
    COVERAGE_OPTION,
    DRIFT_OPTION,
    require_coverage,
    tell_drift,
)
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import CheckFailedError, DataError, UsageError
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.text import showable, showable_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from torchstone_runtime.drift.monitor import DriftMonitor
    from torchstone_runtime.images.background import BackgroundRange
    from torchstone_runtime.images.find import Picture
    from torchstone_runtime.images.image_formats import OtherFiles
    from torchstone_runtime.inference.classifier import Classifier
    from torchstone_runtime.inference.predict_pictures import FailedImage, PicturePrediction
    from torchstone_runtime.report.prediction_gallery import PredictionGallery

CLEAR_LINE: Final = "\r\x1b[K"
"""Takes a progress bar off the terminal's line (ECMA-48)."""


@dataclass(frozen=True, kw_only=True)
class _Wishes:
    """What the command line asks for."""

    paths: tuple[str, ...]
    top: int
    form: str
    min_confidence: float
    gallery: Path | None
    invert: bool
    bits: int | None
    coverage: float | None
    by_class: bool
    drift: bool


@dataclass
class _Counts:
    done: int = 0
    unsure: int = 0
    unanswered: int = 0
    failed: int = 0
    foreign: int = 0
    first_foreign: str = ""


@command(
    examples=(
        "torchstone predict fashion shoe.png",
        "torchstone predict bundles/cnn3-1 inbox --format csv --min-confidence 0.9 > answers.csv",
    )
)
@click.argument("bundle", type=BUNDLE_PATH)
@click.argument("paths", type=click.Path(allow_dash=True), nargs=-1, required=True)
@option(
    "--top",
    group="Output",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of classes shown for each image.",
)
@option(
    *("--format", "form"),
    group="Output",
    type=click.Choice(list(ROWS)),
    help="Output format: lines for people, JSON Lines or CSV  [default: table]",
)
@option("--json", "as_json", group="Output", is_flag=True, help="Print JSON Lines: the same as --format jsonl.")
@option(
    "--min-confidence",
    group="Output",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Print '(unsure)' instead of a class below this probability.",
)
@COVERAGE_OPTION
@BY_CLASS_OPTION
@DRIFT_OPTION
@option("--gallery", group="Output", type=FILE, help="Write an HTML page with each picture.")
@option(
    "--invert",
    group="Data",
    is_flag=True,
    help="Invert each picture before it is classified, such as a photo on white for a model trained on black.",
)
@BITS_OPTION
@load_options
def predict(
    bundle: Path,
    as_json: bool,
    form: str | None,
    *,
    loading: LoadOptions,
    **wishes: Any,  # noqa: ANN401 - click's values: those of _Wishes
) -> None:
    """Classify images with BUNDLE: files, folders, patterns, or - for stdin (one path per line, or one image).

    BUNDLE is a directory that export wrote, one of its .onnx files, or the built-in 'fashion', which recognises ten
    kinds of clothes (28 x 28 gray pixels, bright on black) and needs no training.

    Files that are not images are reported and skipped; the exit code is then 1, or 2 if none was an image. It is also
    1 if the model gives no answer for an image because its outputs are NaN or infinite.
    """
    if as_json and form not in (None, "jsonl"):
        raise UsageError(f"--json is --format jsonl; --format {form} was given as well.", "Give one of them.")
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.inference.classifier import Classifier

    asked = _Wishes(form=form or ("jsonl" if as_json else "table"), **wishes)
    with Classifier.load_with(bundle, loading) as classifier:
        tell_detail(f"plan: {classifier.plan}")
        known = _known_edges(classifier) if loading.replay_golden else None
        require_coverage(classifier, asked.coverage, by_class=asked.by_class)
        monitor = classifier.statistics.monitor() if asked.drift else None
        counts = _predict_all(classifier, asked, known, monitor)
    _warn_of_edges(counts, known, asked)
    if monitor is not None:
        tell_drift(monitor.report())
    if counts.unsure:
        tell(f"{counts.unsure:,} of {counts.done:,} unsure: less than {asked.min_confidence:g} for the best class")
    if counts.failed and not counts.done:
        raise DataError(f"None of the {counts.failed:,} files could be classified.", "The lines above say why.")
    _require_all_answered(counts)


def _require_all_answered(counts: _Counts) -> None:
    total = counts.failed + counts.done
    problems = []
    if counts.failed:
        problems.append(f"{counts.failed:,} of {total:,} files could not be classified.")
    if counts.unanswered:
        problems.append(f"The model gives no answer for {counts.unanswered:,} of {counts.done:,} images.")
    if problems:
        raise CheckFailedError(" ".join(problems), "The lines above say which, and why.")


def _known_edges(classifier: "Classifier") -> "BackgroundRange | None":
    from torchstone_runtime.bundle.golden import golden_images
    from torchstone_runtime.images.background import BackgroundRange

    return BackgroundRange.of(golden_images(classifier.bundle)) if classifier.bundle is not None else None


def _warn_of_edges(counts: _Counts, known: "BackgroundRange | None", asked: _Wishes) -> None:
    if known is None or not counts.foreign:
        return
    theirs = "bright" if known.tone == "dark" else "dark"
    first = showable(click.format_filename(counts.first_foreign))
    remedy = "Leave --invert out for such pictures." if asked.invert else "Invert such pictures (--invert)."
    have = "has" if counts.foreign == 1 else "have"
    click.echo(
        f"Warning: {counts.foreign:,} of {counts.done:,} pictures {have} a {theirs} background; "
        f"the model was evaluated on pictures with a {known.tone} one. First: {first}.\n"
        f"Their predictions may be wrong. {remedy}",
        err=True,
    )


def _predict_all(
    classifier: "Classifier", asked: _Wishes, known: "BackgroundRange | None", monitor: "DriftMonitor | None"
) -> _Counts:
    from torchstone_runtime.inference.predict_pictures import FailedImage

    counts = _Counts()
    alone = len(asked.paths) == 1 and not os.path.isdir(asked.paths[0])  # noqa: PTH112 - it may be a pattern
    row = ROWS[asked.form]
    if asked.form == "csv":
        row = partial(csv_row, count=asked.top)
        click.echo(csv_header(asked.top, sets=asked.coverage is not None))
    with ExitStack() as stack:
        gallery = _open_gallery(stack, classifier, asked.gallery)
        for item in _with_progress(stack, classifier, asked, monitor):
            if stdout_is_lost() and gallery is None:  # nobody learns of what follows
                raise click.exceptions.Exit(0)
            if not isinstance(item, FailedImage):
                unsure = bool(item.top) and item.top[0][1] < asked.min_confidence
                _echo_row(row(item.name, item.top, unsure, item.members))
                _count(counts, item, known, unsure=unsure)
                if gallery:
                    gallery.add(item, unsure=unsure)
                continue
            if alone and item.name == asked.paths[0]:
                raise item.error
            counts.failed += 1
            _complain(f"left out: {showable_lines(item.error.lines)}")
            if gallery:
                gallery.add_failure(item)
        if gallery:
            gallery.finish()
    if asked.gallery is not None:
        tell(f"wrote {asked.gallery}")
    return counts


def _echo_row(row: str) -> None:
    # Otherwise click takes what looks like a terminal's control sequence out of names that go to a file.
    click.echo(row, color=not sys.stdout.isatty())


def _count(counts: _Counts, answer: "PicturePrediction", known: "BackgroundRange | None", *, unsure: bool) -> None:
    counts.done += 1
    counts.unsure += unsure
    if not answer.top:
        counts.unanswered += 1
        name = showable(click.format_filename(answer.name))
        _complain(f"no answer: {name}: the model's outputs are not finite numbers, or no probabilities.")
    if known and known.differs(answer.border_level):
        counts.foreign += 1
        counts.first_foreign = counts.first_foreign or answer.name


def _complain_of_others(others: "OtherFiles") -> None:
    for line in others.lines("the folders"):
        _complain(line)


def _complain(line: str) -> None:
    click.echo(f"{CLEAR_LINE if sys.stderr.isatty() else ''}{line}", err=True)


def _open_gallery(stack: ExitStack, classifier: "Classifier", path: Path | None) -> "PredictionGallery | None":
    if path is None:
        return None
    from torchstone_runtime.files import atomic_writer, require_writable_parent
    from torchstone_runtime.report.prediction_gallery import PredictionGallery

    require_writable_parent(path)
    file = stack.enter_context(atomic_writer(path))
    return PredictionGallery(file, model=classifier.name, plan=str(classifier.plan))


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


def _with_progress(
    stack: ExitStack, classifier: "Classifier", asked: _Wishes, monitor: "DriftMonitor | None"
) -> "Iterator[PicturePrediction | FailedImage]":
    """Yield the answers, with a bar on a terminal that doesn't show the answers themselves."""
    from torchstone_runtime.images.bit_depth import SAMPLE_SIZE, narrow_warning
    from torchstone_runtime.images.find import STDIN, find_pictures
    from torchstone_runtime.images.image_formats import OtherFiles
    from torchstone_runtime.images.input_spec import MAX_BITS
    from torchstone_runtime.images.picture_header import sampled_depths
    from torchstone_runtime.inference.predict_pictures import SetWish, predict_pictures
    from torchstone_runtime.report.prediction_gallery import THUMBNAIL_SIDE

    stdin = cast("BufferedReader", sys.stdin.buffer)
    others = OtherFiles()
    stack.callback(_complain_of_others, others)
    pictures = _named_folders(find_pictures(asked.paths, stdin, others), asked.paths)
    if asked.bits is None and classifier.input_spec.bits == MAX_BITS:
        first = list(islice(pictures, SAMPLE_SIZE))
        if warning := narrow_warning(sampled_depths(picture.source for picture in first)):
            _complain(warning)
        pictures = chain(first, pictures)
    side = THUMBNAIL_SIDE if asked.gallery else 0
    # Closed whatever happens: an interrupted command doesn't wait for pictures that nobody asks for any more.
    answers = stack.enter_context(
        closing(
            predict_pictures(
                classifier,
                pictures,
                top=asked.top,
                thumbnail_side=side,
                invert=asked.invert,
                bits=asked.bits,
                sets=None if asked.coverage is None else SetWish(asked.coverage, asked.by_class),
                monitor=monitor,
            )
        )
    )
    if not shows_progress() or sys.stdout.isatty():
        return answers
    counted = None if STDIN in asked.paths else sum(1 for _ in find_pictures(asked.paths, stdin))
    return iter(stack.enter_context(click.progressbar(answers, length=counted, show_pos=True, file=sys.stderr)))
