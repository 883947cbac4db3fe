"""Mistakes before the model's size is reached, tried on the original picture: filters, crops, borders, decoding."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.diagnosis.channels import gray_planes
from torchstone_runtime.diagnosis.fits import BORDERS, filter_mistake, fitted, other_fits, right_filter
from torchstone_runtime.diagnosis.geometry import FILTERS, View, resized
from torchstone_runtime.diagnosis.interpolation import INTERPOLATIONS
from torchstone_runtime.diagnosis.result import Mistake
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.decode import decode_image, decode_original
from torchstone_runtime.images.input_spec import InputSpec

_SAME_PICTURE: Final = 8.0
"""Root mean square in gray levels: another JPEG decoder stays well below, another picture far above."""

_ENLARGED: Final = (1.0, 256 / 224, 1 / 0.95, 1 / 0.9, 1.25)


def check_same_picture(path: Path, golden: Uint8Array, spec: InputSpec) -> None:
    """Check that golden image was made from the picture at `path`.

    Raises:
        UsageError: it was not.
        ImageError: the picture cannot be decoded.
    """
    difference = decode_image(path, spec).astype(np.float64) - golden
    if (found := float(np.sqrt((difference**2).mean()))) > _SAME_PICTURE:
        raise UsageError(
            f"{path} is not the picture of this golden image: they differ by {found:.0f} gray levels.",
            "Give the file that the golden image was made from, or leave --image out.",
        )


def picture_views(path: Path, spec: InputSpec) -> Iterator[View]:
    """Yield what other ways of decoding, resizing and cropping make of the picture, at the model's size."""
    original = decode_original(path, spec.color, bits=spec.bits).astype(np.float64)
    yield from _filters(original, spec)
    if spec.fit == "stretch":
        yield from _crops(original, spec)
        yield from _letterboxes(original, spec)
    else:
        yield from other_fits(original, spec)
    yield from decodings(path, spec)


def _filters(original: Float64Array, spec: InputSpec) -> Iterator[View]:
    if original.shape == spec.shape:
        return
    for name in (*FILTERS, *INTERPOLATIONS):
        if name != right_filter(spec):
            yield View(fitted(original, spec, name), (filter_mistake(name, spec),))


def _crops(original: Float64Array, spec: InputSpec) -> Iterator[View]:
    _, height, width = original.shape
    for name in dict.fromkeys((spec.resample, *FILTERS)):
        other = () if name == spec.resample else (filter_mistake(name, spec),)
        for part_y, part_x, how in _parts(height, width, spec, finely=name in (spec.resample, "bicubic")):
            top, left = height * (1 - part_y) / 2, width * (1 - part_x) / 2
            text = f"Cropped: {how}; the model takes the whole picture, stretched."
            view = resized(original, spec, name, (left, top, width - left, height - top))
            yield View(view, (Mistake("cropped", text), *other))


def _parts(height: int, width: int, spec: InputSpec, *, finely: bool) -> Iterator[tuple[float, float, str]]:
    """Yield the parts of height and width that are kept, with a description."""
    scale = min(height / spec.height, width / spec.width)
    for enlarged in _ENLARGED:
        kept_y, kept_x = spec.height * scale / enlarged / height, spec.width * scale / enlarged / width
        if (kept_y, kept_x) != (1, 1):
            yield kept_y, kept_x, f"the middle {kept_y:.0%} of the height and {kept_x:.0%} of the width, aspect kept"
        if enlarged != 1 and kept_y != kept_x:
            yield 1 / enlarged, 1 / enlarged, f"the middle {1 / enlarged:.0%} of both sides"
    for percent in range(60, 100, 2) if finely else ():
        yield percent / 100, percent / 100, f"the middle {percent}% of both sides"
    if height >= spec.height and width >= spec.width:
        yield spec.height / height, spec.width / width, "cut out without resizing"


def _letterboxes(original: Float64Array, spec: InputSpec) -> Iterator[View]:
    _, height, width = original.shape
    scale = max(height / spec.height, width / spec.width)
    rows, columns = round(height / scale), round(width / scale)
    if (rows, columns) == (spec.height, spec.width) or min(rows, columns) < 1:
        return
    mistake = Mistake("padded", "Padded to keep the aspect ratio (letterbox); the model takes it stretched.")
    inner = replace(spec, height=rows, width=columns)
    for name in ("bilinear", "bicubic", "lanczos", "nearest"):
        small = resized(original, inner, name, _whole(original))
        other = () if name == spec.resample else (filter_mistake(name, spec),)
        for fill in BORDERS:
            for top, left in {((spec.height - rows) // 2, (spec.width - columns) // 2), (0, 0)}:
                pixels = np.full(spec.shape, float(fill))
                pixels[:, top : top + rows, left : left + columns] = small
                yield View(pixels, (mistake, *other))


def decodings(path: Path, spec: InputSpec) -> Iterator[View]:
    """Yield what mistakes in decoding make of the picture: EXIF ignored, transparency, another conversion to gray."""
    original = decode_original(path, spec.color, bits=spec.bits).astype(np.float64)
    unturned = decode_original(path, spec.color, upright=False, bits=spec.bits).astype(np.float64)
    if unturned.shape != original.shape or (unturned != original).any():
        mistake = Mistake("exif-ignored", "The EXIF rotation of the file was not applied.")
        yield View(fitted(unturned, spec), (mistake,))
    for level, name in ((255, "white"), (0, "black")):
        laid = decode_original(path, spec.color, background=level, bits=spec.bits).astype(np.float64)
        if (laid != original).any():
            text = f"A transparent picture was laid on {name}; the model takes it with the alpha channel dropped."
            yield View(fitted(laid, spec), (Mistake("alpha-background", text),))
    if spec.channels == 1:
        yield from _grays(path, spec)


def _grays(path: Path, spec: InputSpec) -> Iterator[View]:
    colour = decode_original(path, "RGB", bits=spec.bits).astype(np.float64)
    if (colour == colour[:1]).all():
        return
    single = {f"the {name} channel alone": plane for name, plane in zip(("red", "green", "blue"), colour, strict=True)}
    for name, plane in (gray_planes(colour) | single).items():
        mistake = Mistake("gray-conversion", f"Gray is {name}; the model takes luma (BT.601), as Pillow makes it.")
        if name != "luma (BT.601)":
            yield View(fitted(plane[np.newaxis], spec), (mistake,))
    three = replace(spec, color="RGB", mean=spec.mean * 3, std=spec.std * 3)
    text = "The tensor shows colours; the model takes one channel (gray)."
    yield View(fitted(colour, three), (Mistake("channels", text),))


def _whole(pixels: Float64Array) -> tuple[float, float, float, float]:
    return 0, 0, pixels.shape[2], pixels.shape[1]
