"""From a picture of any shape to the height and width that a model takes: stretched, cut to its centre, or bordered.

The last step of `decode_image`, and the only place where it is done: training on folders, golden samples, evaluation
and prediction all come through here.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.resampling.resized_part import channels_first, resized_part
from torchstone_runtime.images.resampling.resizing import Resizing
from torchstone_runtime.images.sampling import sample

MAX_PIXELS: Final = 89_478_485
"""Largest picture decoded or made on the way to a model's input: Pillow's own limit for decompression bombs."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture comes to lie in a model's input.

    Attributes:
        height: rows that the picture is resized to.
        width: columns that it is resized to.
        top: row of the input where the resized picture begins; negative where its upper rows are cut off.
        left: column of the input where it begins; negative where its left columns are cut off.
    """

    height: int
    width: int
    top: int
    left: int

    @classmethod
    def of(cls, height: int, width: int, spec: InputSpec) -> "Placement":
        """Return the placement of a picture of `height` x `width` pixels, upright.

        `crop` rounds as torchvision's `Resize` and `CenterCrop` do, `pad` as ultralytics' `LetterBox`.
        """
        rows, columns = _resized(height, width, spec)
        return cls(rows, columns, _offset(rows, spec.height), _offset(columns, spec.width))


def _resized(height: int, width: int, spec: InputSpec) -> tuple[int, int]:
    if spec.resize is not None:
        longer = spec.resize * max(height, width) // min(height, width)
        return (longer, spec.resize) if width <= height else (spec.resize, longer)
    if spec.fit == "pad":
        scale = min(spec.height / height, spec.width / width)
        return max(1, round(height * scale)), max(1, round(width * scale))
    return spec.height, spec.width


def _offset(size: int, target: int) -> int:
    if size <= target:
        return (target - size) // 2
    return -round((size - target) / 2)  # halves to even, as torchvision rounds


@dataclass(frozen=True, slots=True)
class WholePicture:
    """What a picture is that was decoded at a part of its size, see `images.reduced_decoding`.

    Attributes:
        height: rows of the whole picture, upright.
        width: columns of it.
        box: left, upper, right and lower edge of what it covers of the decoded picture, in that one's pixels.
    """

    height: int
    width: int
    box: tuple[float, float, float, float]


def fit_picture(image: Image.Image, spec: InputSpec, name: str, whole: WholePicture | None = None) -> Uint8Array:
    """Return a picture's pixels at the model's height and width.

    Args:
        image: upright picture of the mode `spec.color`; it is not altered.
        spec: input specification of the model.
        name: name of the picture for a message.
        whole: the whole picture that it is a smaller version of; None where it is that itself. Only with antialiasing.

    Returns:
        uint8 array of shape (C, spec.height, spec.width).

    Raises:
        ImageError: the picture is so long and narrow that resizing it would take more than `MAX_PIXELS` pixels.
    """
    place = Placement.of(whole.height, whole.width, spec) if whole else Placement.of(image.height, image.width, spec)
    rows = range(max(-place.top, 0), min(place.height, spec.height - place.top))
    columns = range(max(-place.left, 0), min(place.width, spec.width - place.left))
    if (place.height, place.width) == (image.height, image.width):
        part = channels_first(np.asarray(image)[rows.start : rows.stop, columns.start : columns.stop])
    elif spec.antialias or spec.resample == "nearest":
        _check_effort(image, place, name)
        box = whole.box if whole else (0, 0, image.width, image.height)
        part = resized_part(image, Resizing(place.height, place.width, spec.resample, box, rows, columns))
    else:
        cubic = spec.resample == "bicubic"
        part = channels_first(sample(np.asarray(image), (place.height, place.width), rows, columns, cubic=cubic))
    return _on_ground(part, max(place.top, 0), max(place.left, 0), spec)


def before_fitting(pixels: Uint8Array, spec: InputSpec) -> Uint8Array:
    """Return a picture that `fit_picture` makes exactly these pixels of: where it cuts out a centre, with a margin.

    A model's input whose sides are both longer than `resize` is no centre of anything: it is returned as it is.

    Args:
        pixels: uint8 array of shape (C, spec.height, spec.width).
        spec: input specification of the model.
    """
    if spec.resize is None or spec.resize < min(spec.height, spec.width):
        return pixels
    height, width = max(spec.resize, spec.height), max(spec.resize, spec.width)
    place = Placement.of(height, width, spec)
    canvas = np.zeros((spec.channels, height, width), np.uint8)
    canvas[:, -place.top :, -place.left :][:, : spec.height, : spec.width] = pixels
    return canvas


def _check_effort(image: Image.Image, place: Placement, name: str) -> None:
    # Pillow resizes the rows of the picture as it is, then the columns; from version 13 on the other way round where
    # that is less work: this is the larger of both.
    halfway = place.width * image.height
    if max(halfway, place.width * place.height) > MAX_PIXELS:
        raise ImageError(
            f"{name} has {image.width:,} x {image.height:,} pixels (width x height), and would be resized to "
            f"{place.width:,} x {place.height:,}: too long and narrow to be resized in {MAX_PIXELS:,} pixels.",
            "Cut the picture to the part that matters first.",
        )


def _on_ground(part: Uint8Array, top: int, left: int, spec: InputSpec) -> Uint8Array:
    channels, height, width = part.shape
    if (height, width) == (spec.height, spec.width):
        return part
    ground = np.full((channels, spec.height, spec.width), spec.fill, np.uint8)
    ground[:, top : top + height, left : left + width] = part
    return ground
