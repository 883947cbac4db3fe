"""The background of pictures: is it as light or dark as in the images that a model was measured on?

A model that learned bright objects on black takes a product photo on white for something else, and says so to nobody.
The outermost pixels tell the two apart. Against 16 images drawn from the same split, 200 times, none of the 70,000
images of Fashion-MNIST differs in this sense, nor of MNIST; of the same images inverted 99.99% and 100% do.
"""

from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array

_FAR: Final = 128
"""Gray levels, half of the range."""

Tone = Literal["dark", "bright"]


def border_levels(images: Uint8Array) -> npt.NDArray[np.float64]:
    """Return the mean level of each image's outermost pixels, 0 to 255.

    Args:
        images: uint8 [N, C, H, W].

    Returns:
        float64 [N].
    """
    top_and_bottom = images[:, :, [0, -1], :].mean(axis=(1, 2, 3))
    left_and_right = images[:, :, :, [0, -1]].mean(axis=(1, 2, 3))
    height, width = images.shape[2:]
    weighted: npt.NDArray[np.float64] = (top_and_bottom * width + left_and_right * height) / (height + width)
    return weighted


@dataclass(frozen=True, slots=True)
class BackgroundRange:
    """The darkest and the lightest background of the images that a model knows, by their outermost pixels.

    Attributes:
        low: lowest mean level of an image's outermost pixels, in gray levels, 0 to 255.
        high: highest one.
    """

    low: float
    high: float

    @classmethod
    def of(cls, images: Uint8Array) -> Self:
        """Measure some images, uint8 [N, C, H, W], N at least 1."""
        levels = border_levels(images)
        return cls(float(levels.min()), float(levels.max()))

    @property
    def tone(self) -> Tone | None:
        """Tone of all backgrounds; None where some are dark and some bright."""
        if self.high < _FAR:
            return "dark"
        return "bright" if self.low >= _FAR else None

    def differs(self, level: float) -> bool:
        """Whether a picture's background is far from that of all known images: by more than half of the range."""
        return level > self.high + _FAR or level < self.low - _FAR
