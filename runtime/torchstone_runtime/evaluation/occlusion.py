"""Where a model looked: how far its belief in a class falls when a part of the picture is covered.

Needs nothing but the model's outputs: no gradients, no layers, and therefore no PyTorch. After Zeiler and Fergus,
"Visualizing and Understanding Convolutional Networks", 2014 (arXiv 1311.2901), section 4.2.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from torchstone_runtime.arrays import Float32Array, Float64Array, Uint8Array

PLACES: Final = 12
"""Places of the cover along each side of a picture; a side of fewer pixels has a place a pixel."""
_COVER: Final = 0.2
"""Side of the cover, as a share of the picture's."""
_BLUR: Final = 0.1
"""Standard deviation of the blur that covers, as a share of the picture's longer side."""
_CALL_BYTES: Final = 16 << 20
"""Covered copies held at once."""

Run = Callable[[Uint8Array], Float32Array]
"""Gives what the softmax is taken of, float32 [n, K], for images, uint8 [n, C, H, W]."""


@dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """What the places of a picture say for a class.

    Attributes:
        label: index of the class.
        probability: probability of the class with nothing covered, 0 to 1.
        lowest: probability with the place covered that says most for the class.
        fall: mean fall of the class's log-odds (natural logarithm) over the covers that hide a pixel, float32 [H, W];
            below 0 where the picture speaks against the class.
    """

    label: int
    probability: float
    lowest: float
    fall: Float32Array


def cover_count(height: int, width: int) -> int:
    """Return how often a model is run to explain one picture."""
    return 1 + min(PLACES, height) * min(PLACES, width)


def explain_by_occlusion(run: Run, pixels: Uint8Array, labels: Sequence[int]) -> list[Evidence]:
    """Return what the places of a picture say for each of some classes.

    A blurred copy of the picture is laid over one place after the other: it hides what is there without the edges and
    the strange colour of a patch of one level.

    Args:
        run: the model.
        pixels: the picture as the model takes it, uint8 [C, H, W].
        labels: indices of classes.
    """
    chosen = list(labels)
    covers = list(_covers(*pixels.shape[1:]))
    before = _belief(run(pixels[np.newaxis]), chosen)[0]
    after = np.concatenate([_belief(run(copies), chosen) for copies in _covered(pixels, covers)])
    falls = np.where(np.isfinite(after), before - after, 0.0)
    times = _spread(covers, np.ones((len(covers), 1)), pixels.shape[1:])
    relief = _spread(covers, falls, pixels.shape[1:]) / times
    return [
        Evidence(label, _probability(start), _probability(lowest), part.astype(np.float32))
        for label, start, lowest, part in zip(
            chosen, before.tolist(), (before - falls.max(axis=0)).tolist(), relief, strict=True
        )
    ]


def _covers(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    return ((rows, columns) for rows in _stretches(height) for columns in _stretches(width))


def _stretches(side: int) -> Iterator[slice]:
    places, half = min(PLACES, side), max(side * _COVER, 1) / 2
    for place in range(places):
        middle = (place + 0.5) * side / places
        yield slice(max(0, round(middle - half)), max(round(middle + half), 1))


def _covered(pixels: Uint8Array, covers: Sequence[tuple[slice, slice]]) -> Iterator[Uint8Array]:
    """Yield copies of a picture, uint8 [n, C, H, W], each with one place covered."""
    blurred = _blurred(pixels)
    most = max(1, _CALL_BYTES // pixels.nbytes)
    for start in range(0, len(covers), most):
        part = covers[start : start + most]
        copies = np.repeat(pixels[np.newaxis], len(part), axis=0)
        for copy, (rows, columns) in zip(copies, part, strict=True):
            copy[:, rows, columns] = blurred[:, rows, columns]
        yield copies


def _blurred(pixels: Uint8Array) -> Uint8Array:
    radius = ImageFilter.GaussianBlur(_BLUR * max(pixels.shape[1:]))
    return np.stack([np.asarray(Image.fromarray(plane).filter(radius)) for plane in pixels])


def _spread(
    covers: Sequence[tuple[slice, slice]], values: Float64Array, shape: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Return for each column of `values` [n, k] the sum over the covers that hide a pixel, float64 [k, H, W]."""
    sums = np.zeros((values.shape[1], *shape))
    for (rows, columns), value in zip(covers, values, strict=True):
        sums[:, rows, columns] += value[:, np.newaxis, np.newaxis]
    return sums


def _belief(logits: Float32Array, labels: Sequence[int]) -> Float64Array:
    """Return the log-odds of some classes, float64 [n, k]: they still move where the probability rounds to 1."""
    rows = np.asarray(logits, dtype=np.float64)
    columns = []
    for label in labels:
        others = np.delete(rows, label, axis=1)
        largest = others.max(axis=1)
        with np.errstate(invalid="ignore"):  # infinities of a copy without an answer
            total = largest + np.log(np.exp(others - largest[:, np.newaxis]).sum(axis=1))
            columns.append(rows[:, label] - total)
    return np.stack(columns, axis=1)


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds > 0 else math.exp(log_odds) / (1 + math.exp(log_odds))
