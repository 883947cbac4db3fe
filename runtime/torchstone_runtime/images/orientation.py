"""The EXIF orientation of a picture (CIPA DC-008, 4.6.4)."""

import struct
from typing import Final

from PIL import ExifTags, Image

UPRIGHT: Final = 1


def orientation_of(image: Image.Image) -> int:
    """Return how a picture's file states that it is turned; upright where it states nothing that can be read.

    A damaged block beside intact pixels is no reason to refuse a picture: viewers show it as it is stored.
    """
    try:
        stated: int = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    except (SyntaxError, struct.error, ValueError):  # a SyntaxError is what Pillow says of a block that is no TIFF
        return UPRIGHT
    return stated
