"""The options of `evaluate` that make it a gate: exit code 1 where the model is not good enough."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from torchstone_runtime.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from torchstone_runtime.metrics.gates import Gate, Judgement
    from torchstone_runtime.report.document import EvaluationDocument

_SHARE = click.FloatRange(0, 1)
_AT_LEAST_0 = click.FloatRange(0)
_OPTIONS = (
    click.option("--min-accuracy", type=_SHARE, help="Exit with 1 where the accuracy is lower."),
    click.option("--min-macro-f1", type=_SHARE, help="Likewise the mean F1 over the classes."),
    click.option("--min-class-recall", multiple=True, metavar="NAME=X", help="Likewise the recall of a class."),
    click.option("--min-class-precision", multiple=True, metavar="NAME=X", help="Likewise the precision of a class."),
    click.option(
        "--min-coverage",
        multiple=True,
        metavar="P=X",
        help="Likewise the share of images that can be answered at precision P, as in 0.99=0.8.",
    ),
    click.option("--max-log-loss", type=_AT_LEAST_0, help="Exit with 1 where the log loss is higher."),
    click.option("--max-brier", type=_AT_LEAST_0, help="Likewise the Brier score."),
    click.option("--max-calibration-error", type=_SHARE, help="Likewise the expected calibration error."),
    click.option(
        "--judge",
        type=click.Choice(["value", "interval"]),
        default="value",
        show_default=True,
        help="interval: the end of the 95% interval that is against the model must lie within the bound, too.",
    ),
)


_Command = TypeVar("_Command", bound=Callable[..., Any])


def gate_options(command: _Command) -> _Command:
    """Add the options to a command, which gets their values as keyword arguments, those of `Bounds`."""
    for option in reversed(_OPTIONS):
        command = option(command)
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
    judge: str

    @property
    def on_interval(self) -> bool:
        """Whether the unfavourable end of the interval is judged."""
        return self.judge == "interval"

    def gates(self, class_names: Iterable[str]) -> "list[Gate]":
        """Return what is required of a model with these classes.

        Raises:
            UsageError: a bound that names no class, is no number, or can't be judged by an interval.
        """
        from torchstone_runtime.metrics import intervals as figures  # noqa: PLC0415 - --help must not load NumPy
        from torchstone_runtime.metrics.gates import Gate, parse_class_bound, parse_coverage_bound  # noqa: PLC0415

        if self.on_interval and self.max_calibration_error is not None:
            raise UsageError(
                "The calibration error has no interval: it can't be judged by one.",
                "Give --max-calibration-error in a call of its own, without --judge interval.",
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
    from torchstone_runtime.metrics.gates import judge  # noqa: PLC0415 - --help must not load NumPy

    return judge(gates, document.figures_for(gates), on_interval=on_interval) if gates else []


def require_passed(judgements: "Iterable[Judgement]", unanswered: "Sequence[str]" = (), total: int = 0) -> None:
    """Raise where a gate failed, or the model gives no answer for an image.

    Args:
        judgements: of the gates.
        unanswered: ids of the images without an answer.
        total: all images.

    Raises:
        CheckFailedError: names every gate that failed; where none did, the images without an answer.
    """
    failed = [str(item) for item in judgements if not item.passed]
    silent = f" It gives no answer for {len(unanswered):,} of {total:,} images." if unanswered else ""
    if failed:
        raise CheckFailedError("The model is not good enough: " + "; ".join(failed) + f".{silent}")
    if unanswered:
        from torchstone_runtime.evaluation.evaluate import require_answers  # noqa: PLC0415 - --help must not load NumPy

        require_answers(unanswered, total)
