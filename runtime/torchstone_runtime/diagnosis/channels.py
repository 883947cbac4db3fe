"""Mistakes with channels: their order, gray instead of colour, another colour space."""

from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.result import Mistake

_NAMES: Final = "RGB"
_GRAYS: Final = {
    "luma (BT.601)": (0.299, 0.587, 0.114),
    "luma (BT.709)": (0.2126, 0.7152, 0.0722),
    "the mean of the channels": (1 / 3, 1 / 3, 1 / 3),
    "luma (BT.601) of channels in BGR order": (0.114, 0.587, 0.299),
}
_SPACES: Final = ("YCbCr", "HSV")


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which plane of the right picture each channel of the tensor shows; `planes` index those of `planes_of`."""

    planes: tuple[int, ...]
    mistakes: tuple[Mistake, ...] = ()


def gray_planes(rgb: Float64Array) -> dict[str, Float64Array]:
    """Return the usual ways to make one channel of three, [H, W] each."""
    return {name: np.tensordot(weights, rgb, 1) for name, weights in _GRAYS.items()}


def planes_of(pixels: Float64Array) -> Float64Array:
    """Return [P, H, W]: the channels; of a colour picture also grays and the planes of other colour spaces."""
    if len(pixels) == 1:
        return pixels
    image = Image.fromarray(np.moveaxis(pixels.round().clip(0, 255).astype(np.uint8), 0, -1))
    others = [np.moveaxis(np.asarray(image.convert(space), dtype=np.float64), -1, 0) for space in _SPACES]
    return np.concatenate([pixels, np.stack(list(gray_planes(pixels).values())), *others])


@cache
def pairings(picture_channels: int, tensor_channels: int) -> tuple[Pairing, ...]:
    """Return the hypotheses for a tensor of so many channels and a picture of so many; the right one first."""
    if picture_channels == 1:
        if tensor_channels == 1:
            return (Pairing((0,)),)
        text = f"The tensor has {tensor_channels} channels; the model takes one (gray)."
        return (Pairing((0,) * tensor_channels, (Mistake("channels", text),)),)
    if tensor_channels == 1:
        return tuple(
            Pairing((3 + index,), (Mistake("grayscale", f"Converted to gray ({name}); the model takes colour."),))
            for index, name in enumerate(_GRAYS)
        )
    return (Pairing((0, 1, 2)), *_orders(), *_gray_threefold(), *_other_spaces())


def _orders() -> list[Pairing]:
    found = []
    for order in permutations(range(3)):
        name = "".join(_NAMES[index] for index in order)
        code = "bgr" if name == "BGR" else "channel-order"
        if name != "RGB":
            found.append(Pairing(order, (Mistake(code, f"The channels are in {name} order; the model takes RGB."),)))
    return found


def _gray_threefold() -> list[Pairing]:
    return [
        Pairing((3 + index,) * 3, (Mistake("grayscale", f"Converted to gray ({name}), three times the same channel."),))
        for index, name in enumerate(_GRAYS)
    ]


def _other_spaces() -> list[Pairing]:
    found = []
    for index, space in enumerate(_SPACES):
        start = 3 + len(_GRAYS) + 3 * index
        mistake = Mistake("color-space", f"The channels are {space}; the model takes RGB.")
        found.append(Pairing((start, start + 1, start + 2), (mistake,)))
    return found
