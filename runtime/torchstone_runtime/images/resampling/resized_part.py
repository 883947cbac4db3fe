"""A part of a resized picture as Pillow gives it, by compiled code where the installation has it."""

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.resampling.compiled import resampled
from torchstone_runtime.images.resampling.resizing import PILLOW_FILTERS, Resizing


def resized_part(image: Image.Image, resizing: Resizing) -> Uint8Array:
    """Return a part of a picture at another size: what Pillow's `resize` and `crop` give.

    Args:
        image: picture of the mode `L` or `RGB`; not altered.
        resizing: size, filter, box and part.

    Returns:
        uint8 array of shape (C, len(resizing.rows), len(resizing.columns)).
    """
    part = resampled(image, resizing)
    if part is not None:
        return part
    whole = image.resize((resizing.width, resizing.height), PILLOW_FILTERS[resizing.filter], resizing.box)
    rows, columns = resizing.rows, resizing.columns
    return channels_first(whole.crop((columns.start, rows.start, columns.stop, rows.stop)))


def resized_picture(image: Image.Image, width: int, height: int, resample: str) -> Image.Image:
    """Return a picture at another size, equal to what Pillow's `resize` gives.

    Args:
        image: picture of the mode `L` or `RGB`; not altered.
        width: columns of the result.
        height: rows of the result.
        resample: name in `PILLOW_FILTERS`.
    """
    box = (0, 0, image.width, image.height)
    planes = resampled(image, Resizing(height, width, resample, box, range(height), range(width)))
    if planes is None:
        return image.resize((width, height), PILLOW_FILTERS[resample])
    bands = [Image.fromarray(plane) for plane in planes]
    # Half as long as turning the array around, which Pillow then turns back.
    return Image.merge(image.mode, bands) if len(bands) > 1 else bands[0]


def channels_first(picture: Image.Image | Uint8Array) -> Uint8Array:
    """Return the pixels of a gray or RGB picture, or of an array [h, w] or [h, w, C], as [C, h, w]."""
    pixels = np.asarray(picture, dtype=np.uint8)
    planes = pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)  # noqa: PLR2004
    return np.ascontiguousarray(planes)
