"""The options that need what a bundle keeps of its validation images, and what is told of drift."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.output import tell, warn
from torchstone_runtime.errors import UsageError

if TYPE_CHECKING:
    from torchstone_runtime.drift.drift_report import DriftReport
    from torchstone_runtime.inference.classifier import Classifier

COVERAGE: Final = click.FloatRange(0, 1, min_open=True, max_open=True)


def coverage_option(default: str | None = None) -> Callable[[Any], Any]:
    """Return the decorator that gives a command `--coverage`; `default` says what holds without it."""
    text = "Give sets of classes that contain the right one with at least this probability, such as 0.95"
    ending = "." if default is None else f"  [default: {default}]"
    return option("--coverage", group="Output", type=COVERAGE, help=f"{text}{ending}")


COVERAGE_OPTION: Final = coverage_option()
BY_CLASS_OPTION: Final = option(
    "--by-class",
    group="Output",
    is_flag=True,
    help="With --coverage: guarantee it for the images of each class separately, with larger sets.",
)
DRIFT_OPTION: Final = option(
    "--drift",
    group="Output",
    is_flag=True,
    help="Compare the pictures with the model's validation images, and say on stderr whether they differ.",
)


def require_coverage(classifier: "Classifier", coverage: float | None, *, by_class: bool) -> None:
    """Check, before anything is written, that a coverage that was asked for can be promised.

    Raises:
        UsageError: too few validation images, none that the bundle keeps, or `by_class` without a coverage.
        BundleError: what the bundle keeps is altered or not readable.
    """
    if coverage is None:
        if by_class:
            raise UsageError("--by-class needs --coverage.", "Add a coverage, such as --coverage 0.95.")
        return
    calibration = classifier.statistics.read().conformal
    if by_class:
        calibration.thresholds_by_class(coverage, classifier.class_names)
    else:
        calibration.threshold(coverage)


def tell_drift(report: "DriftReport") -> None:
    """Print whether pictures differ from the validation images: a warning where they do."""
    if report.alarm:
        warn(f"Warning: drift {report.in_words()}. See docs/how-to/drift.md.")
    else:
        tell(f"drift: {report.in_words()}")
