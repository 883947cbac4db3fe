"""The map of a run's images as a figure: coloured by true class, mistakes marked."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_train.report.drawing import BLUE, INK, ORANGE, SOFT, set_titles, shorten
from torchstone_train.report.feature_map import FeatureMap

_COLORS: Final = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C6D31")
_SHAPES: Final = ("o", "s", "^", "D", "v")
"""Colours alone are told apart by few people where there are many: shapes change when the colours are used up."""
_MOST_IN_LEGEND: Final = len(_COLORS) * len(_SHAPES)
_MOST_NAMED: Final = 30
"""Classes of more that are named on the map itself: those with the most mistakes among its images."""
_LONGEST_NAME: Final = 20
_SIZE: Final = 17
_GRAY: Final = "#9aa4b2"
_MISTAKE: Final[dict[str, Any]] = {"marker": "x", "s": 34, "color": INK, "linewidths": 1.0, "zorder": 4}
_TEST: Final[dict[str, Any]] = {
    "marker": "o",
    "s": 9,
    "facecolors": "none",
    "edgecolors": _GRAY,
    "linewidths": 0.6,
    "zorder": 1,
}


def map_figure(seen: LabelledPredictions, layout: FeatureMap, title: str) -> Figure:
    """Draw images of the validation split where the network sees them, and those of the test split without their class.

    Args:
        seen: predictions for the validation split.
        layout: the places of images of both splits.
        title: title of the run, on one line.
    """
    figure = Figure(figsize=(11.5, 8), layout="constrained")
    shown = len(layout.validation)
    set_titles(figure, title, f"Map of {shown:,} images by the features before the last layer (t-SNE)")
    axis = figure.subplots()
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    labels = seen.labels[layout.validation]
    wrong = ~seen.right()[layout.validation]
    _scatter(axis, layout.test_places, **_TEST)
    for style, members in _by_style(labels):
        color, shape = _look(style)
        _scatter(axis, layout.places[members], s=_SIZE, c=color, marker=shape, linewidths=0, alpha=0.75, zorder=2)
    _scatter(axis, layout.places[wrong], **_MISTAKE)
    classes = np.unique(labels)
    few = len(classes) <= _MOST_IN_LEGEND
    _add_legend(axis, seen, classes if few else classes[:0], int(wrong.sum()))
    if not few:
        _name_worst(axis, seen, layout.places, labels, wrong)
    return figure


def _scatter(axis: Axes, places: Float64Array, **look: Any) -> None:  # noqa: ANN401 - matplotlib's
    axis.scatter(places[:, 0], places[:, 1], **look)


def _by_style(labels: Int64Array) -> Iterator[tuple[int, Int64Array]]:
    styles = labels % _MOST_IN_LEGEND
    return ((int(style), np.flatnonzero(styles == style)) for style in np.unique(styles))


def _look(style: int) -> tuple[str, str]:
    return _COLORS[style % len(_COLORS)], _SHAPES[style // len(_COLORS) % len(_SHAPES)]


def _add_legend(axis: Axes, seen: LabelledPredictions, classes: Int64Array, mistakes: int) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker="x", color=INK, markersize=5.5, label=f"mistake ({mistakes:,})"),
        Line2D([], [], linestyle="none", marker="o", markerfacecolor="none", markeredgecolor=_GRAY, markersize=3.6),
    ]
    handles[-1].set_label("test image, class not looked at")
    for label in classes.tolist():
        color, shape = _look(label % _MOST_IN_LEGEND)
        name = shorten(seen.class_names[label], _LONGEST_NAME)
        handles.append(Line2D([], [], linestyle="none", marker=shape, color=color, markersize=5, label=name))
    axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8.5)


def _name_worst(
    axis: Axes, seen: LabelledPredictions, places: Float64Array, labels: Int64Array, wrong: npt.NDArray[np.bool_]
) -> None:
    """Name the classes with the most mistakes at the middle of their images."""
    mistakes = np.bincount(labels[wrong], minlength=len(seen.class_names))
    worst = np.argsort(-mistakes, kind="stable")[:_MOST_NAMED]
    for label in worst[mistakes[worst] > 0].tolist():
        across, up = np.median(places[labels == label], axis=0).tolist()
        axis.text(across, up, shorten(seen.class_names[label], _LONGEST_NAME), fontsize=7.5, ha="center", zorder=5)
    note = f"{len(seen.class_names):,} classes share {_MOST_IN_LEGEND} signs; named are those with the most mistakes"
    axis.set_xlabel(note, color=SOFT)
