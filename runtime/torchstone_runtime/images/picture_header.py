"""What picture files say of themselves: size, colour and depth, before a model's input is made of them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.bit_depth import Depth
from torchstone_runtime.images.decode import SIXTEEN_BIT_MODES, check_size, read_picture
from torchstone_runtime.images.orientation import orientation_of
from torchstone_runtime.images.picture_file import PixelStorage

_GRAY_MODES: Final = frozenset({"1", "L", "I", *SIXTEEN_BIT_MODES})
_ON_THEIR_SIDES: Final = (5, 6, 7, 8)
"""Values of the EXIF orientation (CIPA DC-008, 4.6.4) that exchange height and width."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a picture file says of itself.

    Attributes:
        height: height in pixels, upright: after the EXIF rotation.
        width: width in pixels, upright.
        is_gray: whether it has one channel, not counting a palette's indices.
    """

    height: int
    width: int
    is_gray: bool


def picture_header(source: str | os.PathLike[str] | bytes) -> PictureHeader:
    """Return what a picture file says of itself, without decoding its pixels.

    Args:
        source: a path or the bytes of an image file.

    Raises:
        ImageError: no file, not an image, or more than `MAX_PIXELS` pixels.
    """

    def read(image: Image.Image, name: str) -> PictureHeader:
        check_size(image, name)
        # Pillow's TIFF reader states the size as it is after the rotation, the other readers as it is before.
        turned = image.format != "TIFF" and orientation_of(image) in _ON_THEIR_SIDES
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        return PictureHeader(height, width, is_gray=image.mode in _GRAY_MODES)

    return read_picture(source, read)


def sixteen_bit_depth(source: str | os.PathLike[str] | bytes) -> Depth | None:
    """Return what a 16-bit picture uses of its range; None for others, and where the file states the range itself.

    Raises:
        ImageError: as for `decode_image`.
    """

    def measure(image: Image.Image, name: str) -> Depth | None:
        check_size(image, name)
        container = PixelStorage.of(image)
        if container.stated_bits:
            return None
        if image.mode in SIXTEEN_BIT_MODES:
            return Depth(int(np.asarray(image).max()), is_gray=True)
        if not container.is_sixteen_bit_color:
            return None
        upper = np.asarray(image.convert("RGB" if image.mode == "RGB" else "LA").getchannel(0))
        return Depth(int(upper.max()) * 256 + 255 if upper.any() else 0, is_gray=False)

    return read_picture(source, measure)


def sampled_depths(sources: Iterable[str | os.PathLike[str] | bytes]) -> list[Depth]:
    """Return what the 16-bit pictures among some sources use of their range; unreadable ones are passed over."""
    found = []
    for source in sources:
        with suppress(ImageError):
            found.append(sixteen_bit_depth(source))
    return [depth for depth in found if depth is not None]
