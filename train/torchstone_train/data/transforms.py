"""The named transforms of a recipe, carried out by torchvision.transforms.v2 on Pillow pictures.

On Pillow pictures rather than tensors: crops, turns and changes of colour take a half to a fifth of the time, most of
it outside the interpreter's lock, and resizing is the one that validation and the exported model's inputs go through.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.resampling.resized_part import resized_picture
from torchstone_train.data.seeded_draws import SeededDraws
from torchstone_train.recipes.transforms import CROP, NamedTransform

ERASED_AREA: Final = (0.02, 0.33)
ERASED_ASPECT: Final = (0.3, 3.3)
"""Of `erase`: smallest and largest share of the area, and ratio of the sides (Z. Zhong et al., arXiv 1708.04896)."""
_HUE_SHARE: Final = 0.25
"""Of `colour`'s strength: hue is a turn of the colour circle, of which a half is all."""
_BLUR_KERNEL: Final = 5
_BLUR_SIGMA: Final = (0.1, 2.0)


class PictureTransforms:
    """Random changes of one picture, in the order of a recipe's list.

    Args:
        named: entries of the list.
        spec: input specification, whose height and width every picture has in the end.
    """

    def __init__(self, named: Sequence[NamedTransform], spec: InputSpec) -> None:
        self._spec = spec
        self._steps = v2.Compose([_BUILDERS[entry.name](entry.value, spec) for entry in named] or [nn.Identity()])
        self.crops = bool(named) and named[0].name == CROP

    def __call__(self, picture: Image.Image, seed: int) -> Image.Image:
        """Return the picture with its changes.

        Args:
            picture: picture in the colour mode of the specification; of its height and width, unless `crops`.
            seed: seed of the changes, 0 to 2**63 - 1.
        """
        with SeededDraws(seed):
            changed: Image.Image = self._steps(picture)
        return changed


class Erase(nn.Module):
    """Fill a rectangle with random pixels (v2.RandomErasing has none that are bytes).

    Args:
        probability: share of the pictures that are changed.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self._probability = probability

    def forward(self, picture: Image.Image) -> Image.Image:
        """Return the picture, or a copy with a rectangle of noise where it fits in one of ten tries."""
        if torch.rand(()) >= self._probability:
            return picture
        for _ in range(10):
            width, height = _draw_rectangle(picture.width * picture.height)
            if 0 < width <= picture.width and 0 < height <= picture.height:
                return _with_noise(picture, width, height)
        return picture


class ResizedCrop(v2.RandomResizedCrop):  # type: ignore[misc]  # torchvision ships no types
    """torchvision's random crop at the model's size, resized as the runtime resizes: the same pixels in half the time.

    Args:
        smallest: smallest share of the area.
        spec: input specification.
    """

    def __init__(self, smallest: float, spec: InputSpec) -> None:
        how = InterpolationMode(spec.resample)
        super().__init__((spec.height, spec.width), scale=(smallest, 1.0), interpolation=how)
        self._resample = spec.resample

    def transform(self, inpt: Image.Image, params: dict[str, Any]) -> Image.Image:
        """Return the drawn part of a picture at the model's height and width."""
        top, left = params["top"], params["left"]
        part = inpt.crop((left, top, left + params["width"], top + params["height"]))
        return resized_picture(part, self.size[1], self.size[0], self._resample)


def _draw_rectangle(area: int) -> tuple[int, int]:
    erased = area * float(torch.empty(()).uniform_(*ERASED_AREA))
    aspect = math.exp(float(torch.empty(()).uniform_(*map(math.log, ERASED_ASPECT))))
    return round(math.sqrt(erased * aspect)), round(math.sqrt(erased / aspect))


def _with_noise(picture: Image.Image, width: int, height: int) -> Image.Image:
    left = int(torch.randint(picture.width - width + 1, ()))
    top = int(torch.randint(picture.height - height + 1, ()))
    bands = len(picture.getbands())
    noise = torch.randint(0, 256, (height, width, bands), dtype=torch.uint8).numpy()
    changed = picture.copy()
    changed.paste(Image.fromarray(noise[..., 0] if bands == 1 else np.ascontiguousarray(noise)), (left, top))
    return changed


def _crop(smallest: float, spec: InputSpec) -> nn.Module:
    return ResizedCrop(smallest, spec)


def _shift(pixels: float, spec: InputSpec) -> nn.Module:
    crop: nn.Module = v2.RandomCrop((spec.height, spec.width), padding=int(pixels))
    return crop


def _colour(strength: float) -> nn.Module:
    jitter: nn.Module = v2.ColorJitter(strength, strength, strength, min(0.5, strength * _HUE_SHARE))
    return jitter


def _blur(probability: float) -> nn.Module:
    blur: nn.Module = v2.RandomApply([v2.GaussianBlur(_BLUR_KERNEL, _BLUR_SIGMA)], p=probability)
    return blur


_BUILDERS: Final[Mapping[str, Callable[[float, InputSpec], Any]]] = {
    CROP: _crop,
    "flip": lambda value, _: v2.RandomHorizontalFlip(value),
    "vertical-flip": lambda value, _: v2.RandomVerticalFlip(value),
    "shift": _shift,
    "rotate": lambda value, _: v2.RandomRotation(value, InterpolationMode.BILINEAR),
    "trivial-augment": lambda _, __: v2.TrivialAugmentWide(),
    "rand-augment": lambda value, _: v2.RandAugment(magnitude=int(value)),
    "colour": lambda value, _: _colour(value),
    "gray": lambda value, _: v2.RandomGrayscale(value),
    "blur": lambda value, _: _blur(value),
    "erase": lambda value, _: Erase(value),
}
