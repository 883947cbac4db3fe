"""TrivialAugment Wide on Pillow pictures, with torchvision's functions and its draws, but without its dispatching.

torchvision's class finds out anew for each picture what it was given, and makes all strengths to draw one of them: that
took longer than most of the changes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
from PIL import Image
from torchvision.transforms.v2 import functional

from torchstone_train.data.seeded_draws import SeededDraws

_STRENGTHS: Final = 31
_Change = Callable[[Image.Image, float], Any]


class TrivialAugment:
    """One of 14 changes of any strength, as `v2.TrivialAugmentWide` makes it of the same random numbers."""

    def __call__(self, picture: Image.Image, draws: SeededDraws) -> Image.Image:
        """Return the changed picture."""
        change, strengths, signed = _CHANGES[draws.below(len(_CHANGES))]
        if not strengths:
            strength = 0.0
        else:
            strength = strengths[draws.below(_STRENGTHS)]
            if signed and draws.share() <= 0.5:  # noqa: PLR2004 - each sign as often as the other
                strength = -strength
        changed: Image.Image = change(picture, strength)
        return changed


def _affine(moved: Callable[[float], Mapping[str, Any]]) -> _Change:
    still = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0]}
    return lambda picture, strength: functional.affine(picture, **{**still, **moved(strength)})


def _sheared(strength: float) -> float:
    return math.degrees(math.atan(strength))


def _upwards(highest: float) -> Sequence[float]:
    strengths: list[float] = torch.linspace(0.0, highest, _STRENGTHS).tolist()
    return strengths


_BITS: Final[Sequence[float]] = (8 - torch.arange(_STRENGTHS) / ((_STRENGTHS - 1) / 6)).round().tolist()
# In the order of torchvision's, from which one is drawn.
_CHANGES: Final[Sequence[tuple[_Change, Sequence[float], bool]]] = (
    (lambda picture, _: picture, (), False),
    (_affine(lambda strength: {"shear": [_sheared(strength), 0.0], "center": [0, 0]}), _upwards(0.99), True),
    (_affine(lambda strength: {"shear": [0.0, _sheared(strength)], "center": [0, 0]}), _upwards(0.99), True),
    (_affine(lambda strength: {"translate": [int(strength), 0]}), _upwards(32.0), True),
    (_affine(lambda strength: {"translate": [0, int(strength)]}), _upwards(32.0), True),
    (lambda picture, strength: functional.rotate(picture, angle=strength), _upwards(135.0), True),
    (lambda picture, strength: functional.adjust_brightness(picture, 1.0 + strength), _upwards(0.99), True),
    (lambda picture, strength: functional.adjust_saturation(picture, 1.0 + strength), _upwards(0.99), True),
    (lambda picture, strength: functional.adjust_contrast(picture, 1.0 + strength), _upwards(0.99), True),
    (lambda picture, strength: functional.adjust_sharpness(picture, 1.0 + strength), _upwards(0.99), True),
    (lambda picture, strength: functional.posterize(picture, bits=int(strength)), _BITS, False),
    (
        lambda picture, strength: functional.solarize(picture, threshold=255.0 * strength),
        torch.linspace(1.0, 0.0, _STRENGTHS).tolist(),
        False,
    ),
    (lambda picture, _: functional.autocontrast(picture), (), False),
    (lambda picture, _: functional.equalize(picture), (), False),
)
