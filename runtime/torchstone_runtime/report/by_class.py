"""Precision, recall, F1 with its bar, support and mean confidence of each class, as a table of a report."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.classification import Average, ClassMetrics, Metrics, figure_text
from torchstone_runtime.report.page import table, tag
from torchstone_runtime.text import counted

_MOST_CLASSES: Final = 50
"""Classes up to which each has a row with a bar."""
_WORST: Final = 40
"""Classes that have one where there are more; the others have a line each, folded up."""
_MOST_LISTED: Final = 8_000
_BAR_REM: Final = 8
_COLUMNS: Final = ("class", "precision", "recall", "F1", "", "support", "mean confidence")


def by_class_html(seen: LabelledPredictions) -> str:
    """Return one row per class, the lowest F1 first, and the averages; of many classes the others are folded up."""
    metrics = seen.metrics
    confidence = _mean_confidence(seen)
    overall = [float(np.nanmean(confidence)), float(seen.confidence.mean(dtype=float))]
    means = dict(zip(metrics.class_names, confidence, strict=True))
    many = len(metrics.per_class) > _MOST_CLASSES
    shown = metrics.lowest_f1(_WORST) if many else _lowest_first(metrics)
    places = {item.name: place for place, item in enumerate(metrics.per_class)}
    rows = [
        _row(
            item.name, Average(item.precision, item.recall, item.f1), item.support, means[item.name], places[item.name]
        )
        for item in shown
    ]
    averages = {"macro average": metrics.macro, "weighted average": metrics.weighted}
    foot = [
        _row(name, values, metrics.total, mean) for (name, values), mean in zip(averages.items(), overall, strict=True)
    ]
    found = table(_COLUMNS, rows, foot=foot, text=[_COLUMNS.index("")], ascending="F1")
    note = "Mean confidence: the probability of the predicted class, over the images of the class."
    if not many:
        return tag("p", f"{note} The lowest F1 comes first.", class_="soft") + found
    which = f"The {len(shown)} of {len(means):,} classes with the lowest F1."
    return tag("p", note, class_="soft") + tag("p", which, class_="soft") + found + _all_classes(metrics, means)


def _lowest_first(metrics: Metrics) -> list[ClassMetrics]:
    """Return all classes, those that do not occur last."""
    return [*metrics.lowest_f1(len(metrics.per_class)), *(item for item in metrics.per_class if math.isnan(item.f1))]


def _all_classes(metrics: Metrics, means: dict[str, float]) -> str:
    """Return the figures of all classes by name, folded up: a browser's search finds a class in them."""
    listed = sorted(metrics.per_class, key=lambda item: item.name)[:_MOST_LISTED]
    left = len(metrics.per_class) - len(listed)
    title = "All classes by name" if not left else f"The first {len(listed):,} classes by name"
    more = f'<p class="soft">{counted(left, "more class")} can be written as CSV and JSON.</p>' if left else ""
    rows = (_plain_row(item, means[item.name]) for item in listed)
    found = table([name for name in _COLUMNS if name], rows, name=title)
    return f"<details><summary>{title}</summary>{found}{more}</details>"


def _plain_row(item: ClassMetrics, confidence: float) -> Sequence[str]:
    figures = map(figure_text, (item.precision, item.recall, item.f1))
    return item.name, *figures, f"{item.support:,}", _percent(confidence)


def _mean_confidence(seen: LabelledPredictions) -> list[float]:
    """Return the mean confidence over the images of each class; NaN for a class without any."""
    labels, count = seen.labels, len(seen.metrics.per_class)
    sums = np.bincount(labels, weights=seen.confidence, minlength=count)
    images = np.bincount(labels, minlength=count)
    means: list[float] = np.divide(sums, images, out=np.full(count, np.nan), where=images > 0).tolist()
    return means


def _row(name: str, values: Average, support: int, confidence: float, place: int | None = None) -> Sequence[str]:
    """Return a row; `place` is that of a class among the labels, by which a click on the column sorts."""
    width = 0 if math.isnan(values.f1) else values.f1 * _BAR_REM
    bar = tag("span", tag("span", class_="bar", style=f"width:{width:.2f}rem"), class_="track")
    figures = map(figure_text, (values.precision, values.recall, values.f1))
    order = {} if place is None else {"data-order": str(place)}
    return tag("span", name, title=name, **order), *figures, bar, f"{support:,}", _percent(confidence)


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share:.1%}"
