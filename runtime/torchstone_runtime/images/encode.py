"""Pixels, and pictures made small for people, as the bytes of PNG and JPEG files."""

import io
import os

import numpy as np
from PIL import Image, ImageOps

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError, first_line
from torchstone_runtime.images.decode import describe, to_eight_bits
from torchstone_runtime.images.image_formats import FORMATS_HELP
from torchstone_runtime.images.input_spec import MAX_BITS
from torchstone_runtime.images.picture_file import PixelStorage, open_picture


def encode_png(pixels: Uint8Array) -> bytes:
    """Encode a (C, H, W) uint8 array of one or three channels as a PNG file."""
    return _encode(pixels, "PNG")


def encode_jpeg(pixels: Uint8Array) -> bytes:
    """Encode a (C, H, W) uint8 array of one or three channels as a JPEG file, a small fraction of a PNG's size."""
    return _encode(pixels, "JPEG")


def _encode(pixels: Uint8Array, kind: str) -> bytes:
    image = Image.fromarray(pixels[0] if pixels.shape[0] == 1 else np.moveaxis(pixels, 0, -1))
    buffer = io.BytesIO()
    image.save(buffer, format=kind, quality=80)
    return buffer.getvalue()


def encode_thumbnail(source: str | os.PathLike[str] | bytes, side: int, bits: int = MAX_BITS) -> bytes:
    """Return a picture as a small image file for people: upright, at most `side` pixels high and wide, not enlarged.

    Args:
        source: a path or the bytes of an image file; one that `decode_image` takes, which knows the limits.
        side: largest height and width, in pixels.
        bits: number of bits that the values of a 16-bit picture use, 8 to 16.

    Raises:
        ImageError: it cannot be decoded.
    """
    name = describe(source)
    try:
        with open_picture(source, name) as image:
            container = PixelStorage.of(image)
            image.draft("RGB", (side, side))  # lets a JPEG be decoded at a fraction of its size
            small = to_eight_bits(ImageOps.exif_transpose(image), name, container, bits).convert("RGB")
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever their format makes them raise.
        raise ImageError(
            f"{name} cannot be read as an image: {first_line(error).rstrip('.')}.", FORMATS_HELP
        ) from error
    reduced = max(small.size) > side
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    # JPEG would smear the few pixels of a small picture.
    small.save(buffer, format="JPEG" if reduced else "PNG", quality=80)
    return buffer.getvalue()
