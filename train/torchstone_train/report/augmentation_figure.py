"""What augmentation makes of training images, as a figure and as a section of a run's page."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.evaluation.examples import reduced
from torchstone_train.data.augmented_samples import AugmentedSample
from torchstone_train.report.drawing import SOFT, set_titles, shorten

_LARGEST_SIDE: Final = 96
"""Pixels to which larger images are reduced."""
_INCHES: Final = 1.12
_MARGIN: Final = 0.14
_HEAD: Final = 0.86
"""Height of the titles and of the columns' heads, in inches."""
_GAP: Final = 0.1
_LONGEST_NAME: Final = 14


def augmentation_figure(samples: Sequence[AugmentedSample], title: str, words: str) -> Figure:
    """Draw images, a row each: as they are, then as the first epochs have them.

    Args:
        samples: images, at least one.
        title: title of the run.
        words: names of the random changes.
    """
    columns = 1 + len(samples[0].changed)
    width, height = columns * (1 + _GAP), len(samples) * (1.16 + _GAP)
    size = (width * _INCHES + 2 * _MARGIN, height * _INCHES + _HEAD + _MARGIN)
    figure = Figure(figsize=size)
    set_titles(figure, title, f"Augmentation: {shorten(words, int(size[0] * 9))}", split="training")
    axis = figure.add_axes((_MARGIN / size[0], 0, 1 - 2 * _MARGIN / size[0], 1 - _HEAD / size[1]))
    for row, sample in enumerate(samples):
        _draw_row(axis, sample, row)
    # Last: imshow has changed them.
    axis.set(xlim=(0, width), ylim=(height + _MARGIN / _INCHES, -0.2))
    for column in range(columns):
        head = f"epoch {column}" if column else "as it is"
        axis.text(column * (1 + _GAP), -0.06, head, va="bottom", color=SOFT, fontsize=8)
    axis.axis("off")
    return figure


def _draw_row(axis: Axes, sample: AugmentedSample, row: int) -> None:
    top = row * (1.16 + _GAP)
    for column, pixels in enumerate((sample.original, *sample.changed)):
        _show(axis, pixels, (column * (1 + _GAP), top))
    axis.text(0, top + 1.04, shorten(sample.name, _LONGEST_NAME), va="top", fontsize=8)


def _show(axis: Axes, pixels: Uint8Array, corner: tuple[float, float]) -> None:
    small = np.moveaxis(reduced(pixels, _LARGEST_SIDE), 0, -1)
    height, width = small.shape[:2]
    colored = np.broadcast_to(small, (height, width, 3))
    high, wide = height / max(height, width), width / max(height, width)
    extent = (corner[0], corner[0] + wide, corner[1] + high, corner[1])
    axis.imshow(colored, extent=extent, interpolation="none", aspect="auto")
