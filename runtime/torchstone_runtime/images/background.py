"""The edges of pictures: do they look like those of the images that a model was measured on?

A model that learned bright objects on black takes a product photo on white for something else, and says so to nobody.
The outermost pixels tell the two apart. Against 16 images drawn from the same split, 200 times, none of the 70,000
images of Fashion-MNIST is foreign in this sense, nor of MNIST; of the same images inverted 99.99% and 100% are.
"""

from dataclasses import dataclass
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array

_FAR: Final = 128
"""Gray levels, half of the range."""

Tone = Literal["dark", "bright"]


def edge_levels(images: Uint8Array) -> npt.NDArray[np.float64]:
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
class KnownEdges:
    """The mean level of the edges of images that a model knows, lowest and highest of them, 0 to 255."""

    low: float
    high: float

    @classmethod
    def of(cls, images: Uint8Array) -> Self:
        """Measure some images, uint8 [N, C, H, W], N at least 1."""
        levels = edge_levels(images)
        return cls(float(levels.min()), float(levels.max()))

    @property
    def tone(self) -> Tone | None:
        """What all of them are; None where some are dark and some bright."""
        if self.high < _FAR:
            return "dark"
        return "bright" if self.low >= _FAR else None

    def is_foreign(self, level: float) -> bool:
        """Whether a picture's edges are far from those of all known images: more than half of the range."""
        return level > self.high + _FAR or level < self.low - _FAR
