"""An evaluation as plain text."""

from collections.abc import Sequence
from typing import Final

from torchstone_runtime.evaluation.slices import Slice
from torchstone_runtime.metrics.calibration import BINS
from torchstone_runtime.metrics.classification import Average, ClassMetrics, Metrics, figure_text
from torchstone_runtime.metrics.gates import Judgement
from torchstone_runtime.metrics.intervals import ACCURACY, interval_words
from torchstone_runtime.report import validation_watch
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.text import showable_lines

MOST_CLASSES: Final = 40
"""Classes, and groups, up to which all are shown, and the whole matrix."""
SHOWN: Final = 20
"""Classes, and pairs of classes, that are shown of more."""
_REQUIRED_PRECISION: Final = 0.99


def render_text(document: EvaluationDocument) -> str:
    """Return the whole report for the terminal."""
    metrics = document.evaluation.metrics
    lines = [
        *document.file.lines(10),
        *_headline(document),
        "",
        *(_whole if len(metrics.per_class) <= MOST_CLASSES else _worst)(metrics),
        *_sets(document),
        *_slices(document.slices),
        *_judgements(document.judgements),
    ]
    return showable_lines(lines)


def _whole(metrics: Metrics) -> list[str]:
    title = "Confusion matrix (rows: true class, columns: predicted class)"
    return [*per_class_table(metrics), "", title, "", *confusion_table(metrics)]


def _worst(metrics: Metrics) -> list[str]:
    """Return the classes of the lowest F1 and the pairs most often confused, and where all of them are available."""
    classes = metrics.lowest_f1(SHOWN)
    left = len(metrics.per_class) - len(classes)
    lines = [f"The {len(classes)} of {len(metrics.per_class):,} classes with the lowest F1", ""]
    lines += per_class_table(metrics, classes)
    lines += ["", f"{left:,} more classes: --csv FILE and --json FILE hold them all"]
    pairs, total = metrics.most_confused(SHOWN), metrics.cells.confusions().true.size
    if not pairs:
        return [*lines, "", "No image was taken for another class."]
    lines += ["", f"The {len(pairs)} of {total:,} pairs of classes that are confused most often", ""]
    lines += _pairs_table(metrics, pairs)
    more = f"{total - len(pairs):,} more pairs: " if total > len(pairs) else "the matrix: "
    return [*lines, "", f"{more}--confusion-csv FILE and --json FILE hold them all"]


def _pairs_table(metrics: Metrics, pairs: Sequence[tuple[str, str, int]]) -> list[str]:
    support = {item.name: item.support for item in metrics.per_class}
    first = max(len("true class"), *(len(true) for true, _, _ in pairs))
    second = max(len("taken for"), *(len(predicted) for _, predicted, _ in pairs))
    header = f"{'true class':<{first}}  {'taken for':<{second}}   images   of the class"
    return [header] + [
        f"{true:<{first}}  {predicted:<{second}}  {count:>7,}   {count / support[true]:.1%} of {support[true]:,}"
        for true, predicted, count in pairs
    ]


def _headline(document: EvaluationDocument) -> list[str]:
    metrics = document.evaluation.metrics
    lines = []
    if document.evaluation.unanswered_ids:
        lines.append(f"no answer         {len(document.evaluation.unanswered_ids):,} images, counted as wrong")
    for name, item in document.overall.items():
        count = f"{metrics.correct:,} of {metrics.total:,}; " if name == ACCURACY else ""
        lines.append(f"{name:<18}{item.value:.4f}  ({count}{interval_words(item)})")
    lines.append(f"{'calibration error':<18}{document.reliability.error:.4f}  (expected, over {BINS} bins)")
    point = document.selective.at_precision(_REQUIRED_PRECISION)
    sure = "nothing" if point.threshold is None else f"{point.coverage:.1%} of the images"
    where = "" if point.threshold is None else f"confidence at least {point.threshold:.9g}; "
    low, high = document.selective.coverage_interval(_REQUIRED_PRECISION)
    possible = f"({where}95% interval {low:.1%} to {high:.1%})"
    lines.append(f"{f'coverage at {_REQUIRED_PRECISION:.0%}':<18}{sure}  {possible}")
    return [*lines, *validation_watch.headline(document.evaluation.sets, document.evaluation.drift)]


def _sets(document: EvaluationDocument) -> list[str]:
    sets = document.evaluation.sets
    return ["", *validation_watch.sets_table(sets)] if sets and document.sets_by_class else []


def _slices(slices: Sequence[Slice]) -> list[str]:
    if not slices:
        return []
    shown, more = slices[:MOST_CLASSES], []
    if left := len(slices) - len(shown):
        more = [f"{left:,} more groups: --json FILE and --report FILE hold them all"]
    width = max(len(f"{item.column}: {item.value}") for item in shown)
    rows = []
    for item in shown:
        low, high = item.metrics.accuracy_interval
        rows.append(
            f"{f'{item.column}: {item.value}':<{width}}  {item.metrics.accuracy:>8.4f}  "
            f"{low:.4f} to {high:.4f}  {item.metrics.total:>7,}"
        )
    return ["", f"{'group':<{width}}  accuracy  95% interval      samples", *rows, *more]


def _judgements(judgements: Sequence[Judgement]) -> list[str]:
    lines = [f"gate {'passed' if item.passed else 'FAILED'}: {item}" for item in judgements]
    return ["", *lines] if lines else []


def per_class_table(metrics: Metrics, classes: Sequence[ClassMetrics] | None = None) -> list[str]:
    """Return precision, recall, F1 and support of classes and the averages over all, one per line.

    Args:
        metrics: metrics over all classes.
        classes: classes that are shown; all if None.
    """
    classes = metrics.per_class if classes is None else classes
    width = max(len("weighted average"), *(len(item.name) for item in classes))
    header = f"{'class':<{width}}  precision  recall      f1  support"
    rows = [_row(c.name, width, Average(c.precision, c.recall, c.f1), c.support) for c in classes]
    averages = [
        _row("macro average", width, metrics.macro, metrics.total),
        _row("weighted average", width, metrics.weighted, metrics.total),
    ]
    return [header, *rows, "", *averages]


def confusion_table(metrics: Metrics) -> list[str]:
    """Return the confusion matrix, one line per true class; columns are numbered as the rows are."""
    names = [_numbered(index, name) for index, name in enumerate(metrics.class_names)]
    width = max(map(len, names))
    cell = max(len(f"{metrics.confusion.max():,}"), len(str(len(names) - 1)), 3) + 1
    header = " " * width + "".join(f"{index:>{cell}}" for index in range(len(names)))
    rows = [
        f"{name:<{width}}" + "".join(f"{count:>{cell},}" if count else f"{'.':>{cell}}" for count in row)
        for name, row in zip(names, metrics.confusion.tolist(), strict=True)
    ]
    return [header, *rows]


def _numbered(index: int, name: str) -> str:
    return name if name == str(index) else f"{index} {name}"


def _row(name: str, width: int, values: Average, support: int) -> str:
    precision, recall, f1 = (figure_text(figure) for figure in (values.precision, values.recall, values.f1))
    return f"{name:<{width}}  {precision:>9}  {recall:>6}  {f1:>6}  {support:>7,}"
