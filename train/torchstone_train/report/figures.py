"""A run's pictures as PNG and SVG files, drawn by matplotlib without a display.

The same run gives the same bytes. Lines differ in dashes and markers as well as in colour.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.files import reported_as_output_error, write_atomic
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.report.matrix import row_shares
from torchstone_train.data.augmented_samples import Augmented
from torchstone_train.report.augmentation_figure import augmentation_figure
from torchstone_train.report.curves import CURVES
from torchstone_train.report.drawing import (
    BLUE,
    INK,
    LONGEST_NAME,
    LONGEST_TITLE,
    MOST_NAMES,
    ORANGE,
    SOFT,
    STYLE,
    encode,
    encode_png,
    set_titles,
    shorten,
)
from torchstone_train.report.feature_map import FeatureMap
from torchstone_train.report.gallery_figures import gallery_figure, mistakes_figure
from torchstone_train.report.map_figure import map_figure
from torchstone_train.report.reliability_figure import reliability_figure
from torchstone_train.training.observer import Record

NumberArray = npt.NDArray[np.int64] | Float64Array

_SERIES: Final[dict[str, dict[str, Any]]] = {
    "train": {"color": ORANGE, "linestyle": (0, (4, 1.5)), "marker": "s", "markersize": 3.2},
    "validation": {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 3.8},
}
_MOST_PIXELS: Final = 1000
"""Rows of the picture of a confusion matrix: of more classes, neighbours share one."""
_MOST_COUNTS: Final = 24
"""Classes up to which the cells of a confusion matrix bear numbers."""
_COUNTED: Final = "Confusion matrix: number of images"
_NORMALIZED: Final = "Confusion matrix: share of each true class, in %"
_SHORT_NAME: Final = 2
"""Characters up to which names stand beside each other without being turned."""
_SHORT_NUMBER: Final = 4
_DARK: Final = 0.6
"""Shade (0 to 1) from which white reads better than ink."""
_HALF_PERCENT: Final = 0.005


def save_figures(folder: Path, history: Sequence[Record], seen: LabelledPredictions, title: str) -> None:
    """Write a PNG and an SVG file of each figure.

    They are `curves`, `confusion`, `confusion_normalized` and `mistakes`; `report.html` has the others.

    Args:
        folder: directory of the figures, made where it is missing.
        history: records of the epochs, one per epoch; without any, no curves are drawn.
        seen: predictions for the validation split, made with the kept weights.
        title: title of the run, on one line.

    Raises:
        OutputError: a file can't be written.
    """
    with mpl.rc_context(STYLE):
        for name, figure in _figures(history, seen, title):
            _save(folder, name, figure)


def save_map(folder: Path, seen: LabelledPredictions, layout: FeatureMap, title: str) -> None:
    """Write the map of a run's images, `map`, as `save_figures` writes the others.

    Raises:
        OutputError: a file can't be written.
    """
    with mpl.rc_context(STYLE):
        _save(folder, "map", map_figure(seen, layout, title))


def save_augmentation(folder: Path, augmented: Augmented, title: str) -> None:
    """Write the figure of augmented training images, `augmentation`, as `save_figures` writes the others.

    Raises:
        OutputError: a file can't be written.
    """
    with mpl.rc_context(STYLE):
        _save(folder, "augmentation", augmentation_figure(augmented.samples, title, augmented.words))


def _save(folder: Path, name: str, figure: Figure) -> None:
    with reported_as_output_error(folder):
        folder.mkdir(exist_ok=True)
    for suffix, content in encode(figure).items():
        write_atomic(folder / f"{name}.{suffix}", content)


def _figures(history: Sequence[Record], seen: LabelledPredictions, title: str) -> Iterator[tuple[str, Figure]]:
    metrics = seen.metrics
    if history:
        yield "curves", curves_figure(history, title)
    yield "confusion", confusion_figure(metrics, title, normalized=False)
    yield "confusion_normalized", confusion_figure(metrics, title, normalized=True)
    yield "mistakes", mistakes_figure(seen, title)


def draw_for_log(seen: LabelledPredictions, title: str) -> dict[str, bytes]:
    """Return the figures that TensorBoard shows and that are no files, `reliability` and `gallery`, as PNG by name."""
    with mpl.rc_context(STYLE):
        return {
            "reliability": encode_png(reliability_figure(seen, title)),
            "gallery": encode_png(gallery_figure(seen, title)),
        }


def curves_figure(history: Sequence[Record], title: str) -> Figure:
    """Draw loss, accuracy, precision, recall and F1 over the epochs, for training and validation."""
    figure = Figure(figsize=(10.5, 6.2), layout="constrained")
    figure.suptitle(shorten(title, LONGEST_TITLE), x=0.012, ha="left")
    axes = figure.subplots(2, 3).ravel()
    for axis, (key, name) in zip(axes, CURVES.items(), strict=False):
        _draw_curve(axis, history, key, name)
    axes[-1].axis("off")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[-1].legend(handles, labels, loc="upper left", frameon=False, fontsize=10, handlelength=3)
    return figure


def _draw_curve(axis: Axes, history: Sequence[Record], key: str, name: str) -> None:
    epochs = [record["epoch"] for record in history]
    for part, style in _SERIES.items():
        values = [record[part][key] for record in history]
        axis.plot(epochs, values, label=part, linewidth=1.6, **style)
    best = [record["epoch"] for record in history if record["best"]]
    if best:
        axis.axvline(best[-1], color=SOFT, linewidth=1, linestyle=":", zorder=0, label=f"best epoch ({best[-1]})")
    axis.set_title(name)
    axis.set_xlabel("epoch")
    axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axis.grid(axis="y")
    axis.set_axisbelow(True)
    if key == "loss":
        axis.set_ylim(bottom=0)
    else:
        axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))


def confusion_figure(metrics: Metrics, title: str, *, normalized: bool) -> Figure:
    """Draw the confusion matrix: rows are true classes; counts, or shares of their row."""
    count = len(metrics.per_class)
    side = min(4 + 0.42 * count, 14.0)
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    set_titles(figure, title, _NORMALIZED if normalized else _COUNTED)
    axis = figure.subplots()
    values = row_shares(metrics, _MOST_PIXELS) if normalized else metrics.cells.blocks(_MOST_PIXELS)
    # The root makes rare confusions visible beside a diagonal near 1.
    norm = PowerNorm(0.5, vmin=0, vmax=1 if normalized else max(1, int(values.max())))
    # In units of classes, of which a pixel may stand for several.
    edge = values.shape[0] * metrics.cells.block_size(_MOST_PIXELS) - 0.5
    picture = axis.imshow(values, cmap="Blues", norm=norm, extent=(-0.5, edge, edge, -0.5))
    axis.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5))
    if count <= _MOST_COUNTS:
        _write_cells(axis, values, norm, _percent if normalized else "{:,}".format)
    _name_classes(axis, metrics)
    axis.spines[:].set_visible(False)
    bar = figure.colorbar(picture, ax=axis, fraction=0.046, pad=0.02)
    bar.outline.set_visible(False)
    if normalized:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1))
    return figure


def _write_cells(axis: Axes, values: NumberArray, norm: PowerNorm, write: Callable[[Any], str]) -> None:
    texts = {position: write(value) for position, value in np.ndenumerate(values) if value}
    size = 8.5 if max(map(len, texts.values()), default=0) <= _SHORT_NUMBER else 7
    for (row, column), text in texts.items():
        color = "white" if norm(values[row, column]) > _DARK else INK
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=size)


def _percent(share: float) -> str:
    return "<1" if share < _HALF_PERCENT else f"{100 * share:.0f}"


def _name_classes(axis: Axes, metrics: Metrics) -> None:
    step = math.ceil(len(metrics.per_class) / MOST_NAMES)
    positions = range(0, len(metrics.per_class), step)
    names = [shorten(metrics.per_class[index].name, LONGEST_NAME) for index in positions]
    if max(map(len, names)) <= _SHORT_NAME:
        axis.set_xticks(positions, names)
    else:
        axis.set_xticks(positions, names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(positions, names)
    axis.tick_params(length=0)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
