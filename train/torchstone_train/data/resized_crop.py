"""A random part of a picture at the model's size: torchvision's crops, resized as the runtime resizes."""

import math
from typing import Final

import torch
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.resampling.resized_part import resized_crop
from torchstone_runtime.images.resampling.resizing import Part
from torchstone_train.data.seeded_draws import SeededDraws

_ASPECTS: Final = (3 / 4, 4 / 3)
_LOG_ASPECTS: Final[tuple[float, float]] = tuple(torch.log(torch.tensor(_ASPECTS)).tolist())
"""In single precision, as torchvision draws them."""
_TRIES: Final = 10


class ResizedCrop:
    """The part that `v2.RandomResizedCrop` draws of the same random numbers, at the model's height and width.

    Args:
        smallest: smallest share of the area.
        spec: input specification.
    """

    def __init__(self, smallest: float, spec: InputSpec) -> None:
        self._smallest = smallest
        self._spec = spec

    def __call__(self, picture: Image.Image, draws: SeededDraws) -> Uint8Array:
        """Return the drawn part of a picture at the model's height and width, uint8 (C, H, W)."""
        part = drawn_part(picture.width, picture.height, self._smallest, draws)
        return resized_crop(picture, part, self._spec.width, self._spec.height, self._spec.resample)


def drawn_part(width: int, height: int, smallest: float, draws: SeededDraws) -> Part:
    """Return left, upper, right and lower edge of a part of a picture of `width` x `height`.

    It is of `smallest` to 1 of the area and of 3:4 to 4:3; the centre where no such part fits in ten tries.
    """
    for _ in range(_TRIES):
        area = width * height * draws.uniform(smallest, 1.0).item()
        aspect = torch.exp(draws.uniform(*_LOG_ASPECTS)).item()
        columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < columns <= width and 0 < rows <= height:
            top = draws.below(height - rows + 1)
            left = draws.below(width - columns + 1)
            return left, top, left + columns, top + rows
    return _centre(width, height)


def _centre(width: int, height: int) -> Part:
    narrowest, widest = _ASPECTS
    columns = min(width, round(height * widest)) if width / height > widest else width
    rows = min(height, round(width / narrowest)) if width / height < narrowest else height
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows
