"""The sections of an evaluation that a run's report has not: intervals, abstention, groups, gates."""

from collections.abc import Sequence

from torchstone_runtime.metrics.binomial import Interval
from torchstone_runtime.metrics.selective import COVERAGES, REQUIRED_PRECISIONS, OperatingPoint
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.page import section, table
from torchstone_runtime.report.validation_watch import drift_html, sets_html

_CHOSEN_HERE = (
    '<p class="soft">The model answers where its confidence is at least the threshold, and abstains elsewhere. '
    "The thresholds were chosen on these very images: on others the precision will be a little lower. The intervals "
    "take that into account. That of the share answered is of the largest share at which other images can be answered "
    "with the precision required.</p>"
)


def gate_section(document: EvaluationDocument) -> str:
    """Return what was required and what was measured; nothing where nothing was required."""
    gates = _gates(document)
    return section("Gates", gates) if gates else ""


def figure_sections(document: EvaluationDocument) -> str:
    """Return figures with intervals, what abstention gives, and sets, drift and groups, where there are any."""
    sections = {
        "Figures": _figures(document),
        "Answering only where sure": _CHOSEN_HERE + _selective(document),
        "Sets of classes": sets_html(document.evaluation.sets),
        "Drift": drift_html(document.evaluation.drift),
        "By group": _slices(document),
    }
    return "\n".join(section(title, content) for title, content in sections.items() if content)


def _figures(document: EvaluationDocument) -> str:
    rows = [(name, f"{item.value:.4f}", _interval(item.interval)) for name, item in document.overall.items()]
    return table(("figure", "value", "95% interval"), rows)


def _selective(document: EvaluationDocument) -> str:
    curve = document.selective
    rows = [
        _point(f"precision {value:.1%} or more", curve.at_precision(value), curve.coverage_interval(value))
        for value in REQUIRED_PRECISIONS
    ]
    rows += [_point(f"{value:.0%} of the images or more", curve.at_coverage(value), None) for value in COVERAGES]
    return table(("required", "threshold", "answered", "95% interval", "precision", "95% interval"), rows)


def _point(required: str, point: OperatingPoint, coverage: Interval | None) -> Sequence[str]:
    possible = "{:.1%} to {:.1%}".format(*coverage) if coverage else "-"
    if point.threshold is None:
        return required, "none", "0.0%", possible, "-", "-"
    precise = "{:.2%} to {:.2%}".format(*point.interval)
    return required, f"{point.threshold:.9g}", f"{point.coverage:.1%}", possible, f"{point.precision:.2%}", precise


def _interval(interval: Interval | None) -> str:
    return "{:.4f} to {:.4f}".format(*interval) if interval else "-"


def _slices(document: EvaluationDocument) -> str:
    rows = [
        (
            f"{item.column}: {item.value}",
            f"{item.metrics.total:,}",
            f"{item.metrics.accuracy:.4f}",
            f"{item.metrics.accuracy_interval[0]:.4f} to {item.metrics.accuracy_interval[1]:.4f}",
            f"{item.metrics.weighted.f1:.4f}",
        )
        for item in document.slices
    ]
    return table(("group", "images", "accuracy", "95% interval", "weighted F1"), rows) if rows else ""


def _gates(document: EvaluationDocument) -> str:
    rows = [("passed" if item.passed else "FAILED", str(item)) for item in document.judgements]
    return table(("gate", "measured"), rows, text=(0, 1)) if rows else ""
