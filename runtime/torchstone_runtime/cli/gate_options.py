"""The options of `evaluate` that make it a gate: exit code 1 where the model is not good enough."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from torchstone_runtime.metrics.gates import Gate, Judgement
    from torchstone_runtime.report.document import EvaluationDocument

JudgedBy = Literal["value", "interval"]
"""What a bound is held against: a figure, or the unfavourable end of its interval as well."""
_SHARE = click.FloatRange(0, 1)
_AT_LEAST_0 = click.FloatRange(0)
MIN_ACCURACY_OPTION = option("--min-accuracy", group="Gates", type=_SHARE, help="Exit with 1 if the accuracy is lower.")
_OPTIONS = (
    MIN_ACCURACY_OPTION,
    option("--min-macro-f1", group="Gates", type=_SHARE, help="Exit with 1 if the mean F1 over the classes is lower."),
    option(
        "--min-class-recall",
        group="Gates",
        multiple=True,
        metavar="NAME=X",
        help="Exit with 1 if the recall of class NAME is lower; may be repeated.",
    ),
    option(
        "--min-class-precision",
        group="Gates",
        multiple=True,
        metavar="NAME=X",
        help="Exit with 1 if the precision of class NAME is lower; may be repeated.",
    ),
    option(
        "--min-coverage",
        group="Gates",
        multiple=True,
        metavar="P=X",
        help="Exit with 1 if fewer of the images can be answered at precision P, as in 0.99=0.8; may be repeated.",
    ),
    option("--max-log-loss", group="Gates", type=_AT_LEAST_0, help="Exit with 1 if the log loss is higher."),
    option("--max-brier", group="Gates", type=_AT_LEAST_0, help="Exit with 1 if the Brier score is higher."),
    option(
        "--max-calibration-error",
        group="Gates",
        type=_SHARE,
        help="Exit with 1 if the expected calibration error is higher.",
    ),
    option(
        "--judge",
        group="Gates",
        type=click.Choice(get_args(JudgedBy)),
        default="value",
        show_default=True,
        help="interval: also require the unfavourable end of the 95% interval to lie within the bound.",
    ),
)


_Command = TypeVar("_Command", bound=Callable[..., Any])


def gate_options(command: _Command) -> _Command:
    """Add the options to a command, which gets their values as keyword arguments, those of `Bounds`."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The values of the options, as they were given."""

    min_accuracy: float | None
    min_macro_f1: float | None
    min_class_recall: tuple[str, ...]
    min_class_precision: tuple[str, ...]
    min_coverage: tuple[str, ...]
    max_log_loss: float | None
    max_brier: float | None
    max_calibration_error: float | None
    judge: JudgedBy

    @property
    def on_interval(self) -> bool:
        """Whether the unfavourable end of the interval is judged."""
        return self.judge == "interval"

    def gates(self, class_names: Iterable[str]) -> "list[Gate]":
        """Return what is required of a model with these classes.

        Raises:
            UsageError: a bound that names no class, is not a number, or can't be judged by an interval.
        """
        from torchstone_runtime.metrics import intervals as figures
        from torchstone_runtime.metrics.gates import Gate, parse_class_bound, parse_coverage_bound

        if self.on_interval and self.max_calibration_error is not None:
            raise UsageError(
                "The calibration error has no interval: it can't be judged by one.",
                "Give --max-calibration-error in a separate call, without --judge interval.",
            )
        least = {figures.ACCURACY: self.min_accuracy, figures.MACRO_F1: self.min_macro_f1}
        most = {
            figures.LOG_LOSS: self.max_log_loss,
            figures.BRIER: self.max_brier,
            figures.CALIBRATION_ERROR: self.max_calibration_error,
        }
        return [
            *(Gate(name, bound) for name, bound in least.items() if bound is not None),
            *(parse_class_bound(text, class_names, "recall") for text in self.min_class_recall),
            *(parse_class_bound(text, class_names, "precision") for text in self.min_class_precision),
            *(parse_coverage_bound(text) for text in self.min_coverage),
            *(Gate(name, bound, at_most=True) for name, bound in most.items() if bound is not None),
        ]


def judge_document(document: "EvaluationDocument", gates: "list[Gate]", *, on_interval: bool) -> "list[Judgement]":
    """Judge the figures of an evaluation."""
    from torchstone_runtime.metrics.gates import judge

    return judge(gates, document.figures_for(gates), on_interval=on_interval) if gates else []


def require_passed(judgements: "Iterable[Judgement]", unanswered: "Sequence[str]" = (), total: int = 0) -> None:
    """Raise where a gate failed, or the model gives no answer for an image.

    Args:
        judgements: outcomes of the gates.
        unanswered: ids of the images for which the model gives no answer.
        total: number of images that the model was asked about.

    Raises:
        CheckFailedError: names every gate that failed; where none did, the images without an answer.
    """
    failed = [str(item) for item in judgements if not item.passed]
    silent = f" It gives no answer for {len(unanswered):,} of {total:,} images." if unanswered else ""
    if failed:
        raise CheckFailedError("The model is not good enough: " + "; ".join(failed) + f".{silent}")
    if unanswered:
        from torchstone_runtime.evaluation.evaluate import require_answers

        require_answers(unanswered, total)
