"""An evaluation as plain text."""

from torchstone_runtime.metrics import Average, Metrics
from torchstone_runtime.report.document import EvaluationDocument


def render_text(document: EvaluationDocument) -> str:
    """Return the whole report for the terminal."""
    metrics = document.evaluation.metrics
    low, high = metrics.accuracy_interval
    why = document.split_reason + (", the certified data" if document.certified else "")
    accuracy = (
        f"{metrics.accuracy:.4f}  ({metrics.correct:,} of {metrics.total:,}; 95% interval {low:.4f} to {high:.4f})"
    )
    lines = [
        f"model     {document.model}: {document.plan}",
        f"data      {document.dataset}, {document.split.name}: {metrics.total:,} images ({why})",
        f"accuracy  {accuracy}",
        "",
        *per_class_table(metrics),
        "",
        "Confusion matrix (rows: true class, columns: predicted class)",
        "",
        *confusion_table(metrics),
    ]
    return "\n".join(lines)


def per_class_table(metrics: Metrics) -> list[str]:
    """Return precision, recall, F1 and support of each class and the averages, a line each."""
    width = max(len("weighted average"), *(len(item.name) for item in metrics.per_class))
    header = f"{'class':<{width}}  precision  recall      f1  support"
    rows = [_row(c.name, width, Average(c.precision, c.recall, c.f1), c.support) for c in metrics.per_class]
    averages = [
        _row("macro average", width, metrics.macro, metrics.total),
        _row("weighted average", width, metrics.weighted, metrics.total),
    ]
    return [header, *rows, "", *averages]


def confusion_table(metrics: Metrics) -> list[str]:
    """Return the confusion matrix, a line a true class; columns are numbered as the rows are."""
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
    return f"{name:<{width}}  {values.precision:>9.4f}  {values.recall:>6.4f}  {values.f1:>6.4f}  {support:>7,}"
