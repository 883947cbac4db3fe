"""Images of the validation split as figures: framed green where the model is right, dashed and red where it is wrong.

A verdict is written in a sign and in the frame's line as well: not everybody tells green from red.
"""

from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.evaluation.examples import confident_mistakes, reduced, samples_of_each_class
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_train.report.drawing import SOFT, set_titles, shorten

_COLUMNS: Final = 7
_ROW_HEIGHT: Final = 1.62
"""Of an image with its three lines of text, where the image is 1 wide and 1 high."""
_GAP: Final = 0.16
_FRAME: Final = 0.025
"""Between an image and the middle of its frame."""
_INCHES: Final = 1.12
"""Width of an image."""
_MARGIN: Final = 0.14
_HEAD: Final = 0.62
"""Height of the titles, in inches."""
_LARGEST_SIDE: Final = 64
"""Pixels to which larger images are reduced: a file of many stays far below a megabyte, however noisy they are."""
_LONGEST_NAME: Final = 14
_RIGHT: Final = ("✓", "#1a7f4b", "-")
_WRONG: Final = ("✗", "#c42b1c", (0, (3, 1.4)))
_CAPTION: Final = "predicted class, true class, and probability of the predicted one"
_NO_MISTAKES: Final = "No image was taken for another class."


def gallery_figure(seen: LabelledPredictions, title: str) -> Figure:
    """Draw the first images of each class."""
    return _tiled(seen, samples_of_each_class(seen), title, f"Samples: {_CAPTION}")


def mistakes_figure(seen: LabelledPredictions, title: str) -> Figure:
    """Draw the wrong ones of which the model is most confident."""
    return _tiled(seen, confident_mistakes(seen), title, f"Most confident mistakes: {_CAPTION}")


def _tiled(seen: LabelledPredictions, indices: Int64Array, title: str, subtitle: str) -> Figure:
    rows = [indices[start : start + _COLUMNS] for start in range(0, len(indices), _COLUMNS)]
    figure, axis = _canvas(len(rows), title, subtitle)
    for row, members in enumerate(rows):
        _tile(axis, seen, members, row)
    return figure


def _canvas(rows: int, title: str, subtitle: str) -> tuple[Figure, Axes]:
    """Return a figure with one axis in units of an image's width; one axis an image would take seconds to draw."""
    width = _COLUMNS * (1 + _GAP) - _GAP
    height = max(rows * _ROW_HEIGHT, 0.5)
    size = (width * _INCHES + 2 * _MARGIN, height * _INCHES + _HEAD + _MARGIN)
    figure = Figure(figsize=size)
    set_titles(figure, title, subtitle)
    axis = figure.add_axes((_MARGIN / size[0], 0, 1 - 2 * _MARGIN / size[0], 1 - _HEAD / size[1]))
    axis.set_xlim(0, width)
    axis.set_ylim(height + _MARGIN / _INCHES, 0)
    axis.axis("off")
    if not rows:
        axis.text(0, 0.2, _NO_MISTAKES, va="center")
    return figure, axis


def _tile(axis: Axes, seen: LabelledPredictions, indices: Int64Array, row: int) -> None:
    images = seen.pictures(indices)
    for column, (index, pixels) in enumerate(zip(indices, images, strict=True)):
        _draw(axis, seen, int(index), pixels, (column * (1 + _GAP), row * _ROW_HEIGHT + _GAP / 2))


def _draw(axis: Axes, seen: LabelledPredictions, index: int, pixels: Uint8Array, corner: tuple[float, float]) -> None:
    x, y = corner
    names = seen.class_names
    true, predicted = names[seen.labels[index]], seen.predicted_name(index)
    sign, color, line = _RIGHT if true == predicted else _WRONG
    _show(axis, pixels, corner)
    frame = (x - _FRAME, y - _FRAME), 1 + 2 * _FRAME, 1 + 2 * _FRAME
    axis.add_patch(Rectangle(*frame, fill=False, edgecolor=color, linestyle=line, linewidth=2.2, clip_on=False))
    decided = f"{sign} {shorten(predicted, _LONGEST_NAME)}"
    axis.text(x, y + 1.07, decided, va="top", color=color, fontsize=8, fontweight="bold")
    axis.text(x, y + 1.22, f"truly {shorten(true, _LONGEST_NAME)}", va="top", fontsize=7.5)
    axis.text(x, y + 1.36, f"{seen.confidence[index]:.1%}", va="top", color=SOFT, fontsize=7.5)


def _show(axis: Axes, pixels: Uint8Array, corner: tuple[float, float]) -> None:
    small = np.moveaxis(reduced(pixels, _LARGEST_SIDE), 0, -1)
    height, width = small.shape[:2]
    colored = np.broadcast_to(small, (height, width, 3))
    # In the middle of its frame, with its own proportions.
    half_width, half_height = (side / max(height, width) / 2 for side in (width, height))
    x, y = corner[0] + 0.5, corner[1] + 0.5
    if height != width:
        axis.add_patch(Rectangle(corner, 1, 1, color="black", linewidth=0, zorder=-1))
    limits = axis.get_xlim(), axis.get_ylim()
    extent = (x - half_width, x + half_width, y + half_height, y - half_height)
    axis.imshow(colored, extent=extent, interpolation="none", aspect="auto")
    axis.set(xlim=limits[0], ylim=limits[1])  # which imshow has changed
