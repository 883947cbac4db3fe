"""Pictures that were stretched, cropped or padded where the model takes another of the three, or other numbers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.geometry import FILTERS, View, resized
from torchstone_runtime.diagnosis.interpolation import INTERPOLATIONS, interpolate
from torchstone_runtime.diagnosis.result import Mistake
from torchstone_runtime.images.geometry import MAX_PIXELS, Placement
from torchstone_runtime.images.input_spec import InputSpec

BORDERS: Final = (0, 255, 128, 114)
"""Levels of borders: black, white, gray, and that of ultralytics."""

_SHORTER_SIDES: Final = (1.0, 256 / 224, 232 / 224, 1 / 0.95, 1 / 0.9, 1 / 0.965, 1.25)
"""Usual sizes of the shorter side before a crop, in units of the input's."""


def right_filter(spec: InputSpec) -> str:
    """Return the name of the model's own filter, in `FILTERS` or `INTERPOLATIONS`."""
    plain = spec.antialias or spec.resample == "nearest"
    return spec.resample if plain else f"{spec.resample} without antialiasing (OpenCV, PyTorch)"


def fitted(pixels: Float64Array, spec: InputSpec, name: str | None = None) -> Float64Array:
    """Return [C, h, w] at the model's size, by its fit and the filter of that name, its own if None."""
    name = name or right_filter(spec)
    place = Placement.of(pixels.shape[1], pixels.shape[2], spec)
    inner = replace(spec, height=place.height, width=place.width)
    if name in FILTERS:
        small = resized(pixels, inner, name, (0, 0, pixels.shape[2], pixels.shape[1]))
    else:
        small = interpolate(pixels, place.height, place.width, name)
    top, left = max(place.top, 0), max(place.left, 0)
    part = small[:, max(-place.top, 0) :, max(-place.left, 0) :][:, : spec.height - top, : spec.width - left]
    ground = np.full((len(pixels), spec.height, spec.width), float(spec.fill))
    ground[:, top : top + part.shape[1], left : left + part.shape[2]] = part
    return ground


def filter_mistake(name: str, spec: InputSpec) -> Mistake:
    """Return that another filter was used."""
    right = f"Pillow's {spec.resample}" if right_filter(spec) in FILTERS else right_filter(spec)
    return Mistake("resize-filter", f"Resized with {name}; the model takes {right}.")


def other_fits(original: Float64Array, spec: InputSpec) -> Iterator[View]:
    """Yield what the other fits and the model's own with other numbers make of a picture, with the usual filters."""
    for other, mistake in _others(spec):
        place = Placement.of(original.shape[1], original.shape[2], other)
        if max(place.height, original.shape[1]) * place.width > MAX_PIXELS:
            continue
        for name in dict.fromkeys((right_filter(spec), "bilinear", "bicubic", *INTERPOLATIONS)):
            also = () if name == right_filter(spec) else (filter_mistake(name, spec),)
            yield View(fitted(original, other, name), (mistake, *also))


def _others(spec: InputSpec) -> Iterator[tuple[InputSpec, Mistake]]:
    right = f"the model takes {spec.geometry_text()}."
    bare = replace(spec, fit="stretch", resize=None, fill=0)
    if spec.fit != "stretch":
        yield bare, Mistake("stretched", f"Stretched: both sides were resized on their own; {right}")
    for size in sorted({round(max(spec.height, spec.width) * part) for part in _SHORTER_SIDES} - {spec.resize}):
        text = f"Cropped: the shorter side was resized to {size} and the centre cut out; {right}"
        yield replace(bare, fit="crop", resize=size), Mistake("cropped", text)
    for fill in BORDERS:
        if spec.fit != "pad" or fill != spec.fill:
            text = f"Padded: the whole picture, with a border of level {fill}; {right}"
            yield replace(bare, fit="pad", fill=fill), Mistake("padded", text)
