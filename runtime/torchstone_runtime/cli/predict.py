"""`torchstone predict`: classes and probabilities of image files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import (
    BITS_OPTION,
    BUNDLE_PATH,
    FILE,
    INVERT_OPTION,
    TOP_HELP,
    json_option_beside_paths,
    load_options,
)
from torchstone_runtime.cli.output import is_stdout, require_writable, tell, tell_detail
from torchstone_runtime.cli.picture_predictions import PredictOptions
from torchstone_runtime.cli.prediction_formats import ROWS
from torchstone_runtime.cli.prediction_lines import PredictionCounts, print_predictions
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
from torchstone_runtime.text import showable

if TYPE_CHECKING:
    from torchstone_runtime.images.background import BackgroundRange
    from torchstone_runtime.inference.classifier import Classifier


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
    help=TOP_HELP,
)
@option(
    *("--format", "form"),
    group="Output",
    type=click.Choice(list(ROWS)),
    help="Format of the output  [default: table]",
)
@json_option_beside_paths
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
@INVERT_OPTION
@BITS_OPTION
@load_options
def predict(
    bundle: Path,
    json_file: Path | None,
    form: str | None,
    *,
    loading: LoadOptions,
    **given: Any,  # noqa: ANN401 - click's values: those of PredictOptions
) -> None:
    """Classify images with BUNDLE: files, folders, patterns, or - for stdin (one path per line, or one image).

    BUNDLE is a directory that export wrote, one of its .onnx files, or the built-in 'fashion', which recognises ten
    kinds of clothes (28 x 28 gray pixels, bright on black) and needs no training.

    --json prints a JSON object for each image, on a line of its own: the same as --format jsonl. A FILE for it needs
    the equals sign: --json=FILE.

    Files that are not images are reported and skipped; the exit code is then 1, or 2 if none was an image. It is also
    1 if the model gives no answer for an image because its outputs are NaN or infinite.
    """
    if is_stdout(json_file) and form not in (None, "jsonl"):
        raise UsageError(f"--json is --format jsonl; --format {form} was given as well.", "Give one of them.")
    require_component("cpu", "onnxruntime")
    from torchstone_runtime.inference.classifier import Classifier

    options = PredictOptions(form=form or ("jsonl" if is_stdout(json_file) else "table"), json_file=json_file, **given)
    require_writable((options.json_file, options.gallery))
    with Classifier.load_with(bundle, loading) as classifier:
        tell_detail(f"plan: {classifier.plan}")
        known = _known_background(classifier) if loading.replay_golden else None
        require_coverage(classifier, options.coverage, by_class=options.by_class)
        monitor = classifier.statistics.monitor() if options.drift else None
        counts = print_predictions(classifier, options, known, monitor)
    _warn_of_background(counts, known, options)
    if monitor is not None:
        tell_drift(monitor.report())
    if counts.unsure:
        tell(f"{counts.unsure:,} of {counts.done:,} unsure: less than {options.min_confidence:g} for the best class")
    if counts.failed and not counts.done:
        raise DataError(f"None of the {counts.failed:,} files could be classified.", "The lines above say why.")
    _require_all_answered(counts)


def _require_all_answered(counts: PredictionCounts) -> None:
    total = counts.failed + counts.done
    problems = []
    if counts.failed:
        problems.append(f"{counts.failed:,} of {total:,} files could not be classified.")
    if counts.unanswered:
        problems.append(f"The model gives no answer for {counts.unanswered:,} of {counts.done:,} images.")
    if problems:
        raise CheckFailedError(" ".join(problems), "The lines above say which, and why.")


def _known_background(classifier: "Classifier") -> "BackgroundRange | None":
    from torchstone_runtime.bundle.golden import golden_images
    from torchstone_runtime.images.background import BackgroundRange

    return BackgroundRange.of(golden_images(classifier.bundle)) if classifier.bundle is not None else None


def _warn_of_background(counts: PredictionCounts, known: "BackgroundRange | None", options: PredictOptions) -> None:
    if known is None or not counts.foreign:
        return
    theirs = "bright" if known.tone == "dark" else "dark"
    first = showable(click.format_filename(counts.first_foreign))
    remedy = "Leave --invert out for such pictures." if options.invert else "Invert such pictures (--invert)."
    have = "has" if counts.foreign == 1 else "have"
    click.echo(
        f"Warning: {counts.foreign:,} of {counts.done:,} pictures {have} a {theirs} background; "
        f"the model was evaluated on pictures with a {known.tone} one. First: {first}.\n"
        f"Their predictions may be wrong. {remedy}",
        err=True,
    )
