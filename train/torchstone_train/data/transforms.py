"""The named transforms of a recipe, carried out by torchvision.transforms.v2 on Pillow pictures.

On Pillow pictures rather than tensors: crops, turns and changes of colour take a half to a fifth of the time, most of
it outside the interpreter's lock, and resizing is the one that validation and the exported model's inputs go through.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Final

import numpy as np
from PIL import Image
from torch import nn
from torchvision.transforms import InterpolationMode, v2

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.resampling.resized_part import picture_of, write_pixels
from torchstone_train.data.resized_crop import ResizedCrop
from torchstone_train.data.seeded_draws import SeededDraws
from torchstone_train.data.trivial_augment import TrivialAugment
from torchstone_train.recipes.transforms import CROP, NamedTransform

ERASED_AREA: Final = (0.02, 0.33)
ERASED_ASPECT: Final = (0.3, 3.3)
"""Of `erase`: smallest and largest share of the area, and ratio of the sides (Z. Zhong et al., arXiv 1708.04896)."""
_HUE_SHARE: Final = 0.25
"""Of `colour`'s strength: hue is a turn of the colour circle, of which a half is all."""
_BLUR_KERNEL: Final = 5
_BLUR_SIGMA: Final = (0.1, 2.0)


Step = Callable[[Image.Image, SeededDraws], Image.Image]
"""A random change: a picture and the random numbers it is drawn by to the changed picture."""


class PictureTransforms:
    """Random changes of one picture, in the order of a recipe's list.

    Args:
        named: entries of the list.
        spec: input specification, whose height and width every picture has in the end.
    """

    def __init__(self, named: Sequence[NamedTransform], spec: InputSpec) -> None:
        self._shape = (spec.height, spec.width, spec.channels)
        self.crops = bool(named) and named[0].name == CROP
        self._crop = ResizedCrop(named[0].value, spec) if self.crops else None
        steps = [_BUILDERS[entry.name](entry.value, spec) for entry in named[int(self.crops) :]]
        # What is cropped is turned over as planes: most lists end there, and no picture has to be made of them.
        mirrors = [step for step in takewhile(lambda step: isinstance(step, Mirror), steps) if isinstance(step, Mirror)]
        self._mirrors = mirrors if self.crops else []
        self._steps = steps[len(self._mirrors) :]

    def __call__(self, picture: Image.Image, seed: int) -> Image.Image:
        """Return the picture with its changes; see `write`."""
        out = np.empty(self._shape, np.uint8)
        self.write(picture, seed, out)
        return picture_of(np.moveaxis(out, -1, 0))

    def write(self, picture: Image.Image, seed: int, out: Uint8Array) -> None:
        """Write the pixels of the picture with its changes.

        Args:
            picture: picture in the colour mode of the specification; of its height and width, unless `crops`.
            seed: seed of the changes, 0 to 2**63 - 1.
            out: uint8 (H, W, C) of the specification's shape.
        """
        draws = SeededDraws(seed)
        if self._crop is not None:
            planes = self._crop(picture, draws)
            for mirror in self._mirrors:
                planes = mirror.turned(planes, draws)
            if not self._steps:
                return write_pixels(planes, out)
            picture = picture_of(planes)
        for step in self._steps:
            picture = step(picture, draws)
        write_pixels(picture, out)
        return None


class Erase:
    """Fill a rectangle with random pixels (v2.RandomErasing has none that are bytes).

    Args:
        probability: share of the pictures that are changed.
    """

    def __init__(self, probability: float) -> None:
        self._probability = probability

    def __call__(self, picture: Image.Image, draws: SeededDraws) -> Image.Image:
        """Return the picture, or a copy with a rectangle of noise where it fits in one of ten tries."""
        if draws.share() >= self._probability:
            return picture
        for _ in range(10):
            width, height = _draw_rectangle(picture.width * picture.height, draws)
            if 0 < width <= picture.width and 0 < height <= picture.height:
                return _with_noise(picture, width, height, draws)
        return picture


class Mirror:
    """A picture turned over in its share of cases, as `v2.RandomHorizontalFlip` and `v2.RandomVerticalFlip` do it.

    Args:
        probability: share of the pictures that are changed.
        vertical: whether top and bottom change places, rather than left and right.
    """

    def __init__(self, probability: float, *, vertical: bool) -> None:
        self._probability = probability
        self._how = Image.Transpose.FLIP_TOP_BOTTOM if vertical else Image.Transpose.FLIP_LEFT_RIGHT
        self._axis = 1 if vertical else 2

    def __call__(self, picture: Image.Image, draws: SeededDraws) -> Image.Image:
        """Return the picture, or it turned over."""
        return picture.transpose(self._how) if self._is_drawn(draws) else picture

    def turned(self, planes: Uint8Array, draws: SeededDraws) -> Uint8Array:
        """Return planes, [C, h, w], or a view of them turned over."""
        return np.flip(planes, self._axis) if self._is_drawn(draws) else planes

    def _is_drawn(self, draws: SeededDraws) -> bool:
        return draws.share() < self._probability


def _draw_rectangle(area: int, draws: SeededDraws) -> tuple[int, int]:
    erased = area * draws.uniform(*ERASED_AREA).item()
    aspect = math.exp(draws.uniform(*map(math.log, ERASED_ASPECT)).item())
    return round(math.sqrt(erased * aspect)), round(math.sqrt(erased / aspect))


def _with_noise(picture: Image.Image, width: int, height: int, draws: SeededDraws) -> Image.Image:
    left = draws.below(picture.width - width + 1)
    top = draws.below(picture.height - height + 1)
    bands = len(picture.getbands())
    noise = draws.bytes(height, width, bands)
    changed = picture.copy()
    changed.paste(Image.fromarray(noise[..., 0] if bands == 1 else np.ascontiguousarray(noise)), (left, top))
    return changed


def _torchvisions(module: nn.Module) -> Step:
    def step(picture: Image.Image, draws: SeededDraws) -> Image.Image:
        with draws:
            changed: Image.Image = module(picture)
        return changed

    return step


def _shift(pixels: float, spec: InputSpec) -> Step:
    return _torchvisions(v2.RandomCrop((spec.height, spec.width), padding=int(pixels)))


def _colour(strength: float) -> Step:
    return _torchvisions(v2.ColorJitter(strength, strength, strength, min(0.5, strength * _HUE_SHARE)))


def _blur(probability: float) -> Step:
    return _torchvisions(v2.RandomApply([v2.GaussianBlur(_BLUR_KERNEL, _BLUR_SIGMA)], p=probability))


_BUILDERS: Final[Mapping[str, Callable[[float, InputSpec], Step]]] = {
    "flip": lambda value, _: Mirror(value, vertical=False),
    "vertical-flip": lambda value, _: Mirror(value, vertical=True),
    "shift": _shift,
    "rotate": lambda value, _: _torchvisions(v2.RandomRotation(value, InterpolationMode.BILINEAR)),
    "trivial-augment": lambda _, __: TrivialAugment(),
    "rand-augment": lambda value, _: _torchvisions(v2.RandAugment(magnitude=int(value))),
    "colour": lambda value, _: _colour(value),
    "gray": lambda value, _: _torchvisions(v2.RandomGrayscale(value)),
    "blur": lambda value, _: _blur(value),
    "erase": lambda value, _: Erase(value),
}
