"""Precision, recall, F1 with its bar, support and mean confidence of each class, as a table of a report."""

import math
from typing import Final

import numpy as np

from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.classification import Average, ClassMetrics, Metrics, figure_text
from torchstone_runtime.report.page import escape

_MOST_CLASSES: Final = 100
"""Classes up to which each has a row with a bar."""
_WORST: Final = 40
"""Classes that have one where there are more; the others have a line each, folded up."""
_MOST_LISTED: Final = 8_000
_BAR_REM: Final = 8
_COLUMNS: Final = ("class", "precision", "recall", "F1", "", "support", "mean confidence")

STYLE: Final = """
.track { display: inline-block; width: 8rem; height: .75em; background: var(--card); border-radius: 2px;
  box-shadow: inset 0 0 0 1px var(--line); vertical-align: baseline; }
.bar { display: block; height: 100%; background: rgb(var(--hit)); border-radius: 2px; }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--paper); max-width: min(16rem, 36vw);
  overflow: hidden; text-overflow: ellipsis; }
tr.average td { color: var(--soft); } tr.average .bar { opacity: .55; }
"""


def by_class_html(seen: LabelledPredictions) -> str:
    """Return a row a class, in the order of the labels, and the averages; of many classes the worst ones first."""
    metrics = seen.metrics
    confidence = _mean_confidence(seen)
    overall = [float(np.nanmean(confidence)), float(seen.confidence.mean(dtype=float))]
    means = dict(zip(metrics.class_names, confidence, strict=True))
    many = len(metrics.per_class) > _MOST_CLASSES
    shown = metrics.lowest_f1(_WORST) if many else metrics.per_class
    rows = [
        _row(item.name, Average(item.precision, item.recall, item.f1), item.support, means[item.name]) for item in shown
    ]
    averages = {"macro average": metrics.macro, "weighted average": metrics.weighted}
    rows += [
        _row(name, values, metrics.total, mean, "average")
        for (name, values), mean in zip(averages.items(), overall, strict=True)
    ]
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    note = '<p class="soft">Mean confidence: the probability of the predicted class, over the images of the class.</p>'
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    if not many:
        return f'{note}<div class="scroll">{table}</div>'
    which = f'<p class="soft">The {len(shown)} of {len(means):,} classes with the lowest F1.</p>'
    return f'{note}{which}<div class="scroll">{table}</div>{_all_classes(metrics, means)}'


def _all_classes(metrics: Metrics, means: dict[str, float]) -> str:
    """Return the figures of all classes by name, folded up: a browser's search finds a class in them."""
    listed = sorted(metrics.per_class, key=lambda item: item.name)[:_MOST_LISTED]
    rows = "".join(_plain_row(item, means[item.name]) for item in listed)
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS if name)
    left = len(metrics.per_class) - len(listed)
    title = "All classes by name" if not left else f"The first {len(listed):,} classes by name"
    more = f'<p class="soft">{left:,} more classes are in the CSV and JSON files.</p>' if left else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<details><summary>{title}</summary><div class="scroll">{table}</div>{more}</details>'


def _plain_row(item: ClassMetrics, confidence: float) -> str:
    sure = "-" if math.isnan(confidence) else f"{confidence:.1%}"
    figures = (*map(figure_text, (item.precision, item.recall, item.f1)), f"{item.support:,}", sure)
    return f"<tr><td>{escape(item.name)}</td>{''.join(f'<td>{figure}</td>' for figure in figures)}</tr>"


def _mean_confidence(seen: LabelledPredictions) -> list[float]:
    """Return the mean confidence over the images of each class; NaN for a class without any."""
    labels, count = seen.labels, len(seen.metrics.per_class)
    sums = np.bincount(labels, weights=seen.confidence, minlength=count)
    images = np.bincount(labels, minlength=count)
    means: list[float] = np.divide(sums, images, out=np.full(count, np.nan), where=images > 0).tolist()
    return means


def _row(name: str, values: Average, support: int, confidence: float, kind: str = "") -> str:
    sure = "-" if math.isnan(confidence) else f"{confidence:.1%}"
    width = 0 if math.isnan(values.f1) else values.f1 * _BAR_REM
    bar = f'<span class="track"><span class="bar" style="width:{width:.2f}rem"></span></span>'
    shown = "".join(f"<td>{figure_text(figure)}</td>" for figure in (values.precision, values.recall, values.f1))
    return (
        f'<tr class="{kind}"><td title="{escape(name)}">{escape(name)}</td>'
        f"{shown}"
        f'<td class="text">{bar}</td><td>{support:,}</td><td>{sure}</td></tr>'
    )
