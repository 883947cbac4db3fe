"""A part of a resized picture as Pillow gives it, by compiled code where the installation has it."""

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.resampling.compiled import interleaved, resampled
from torchstone_runtime.images.resampling.resizing import PILLOW_FILTERS, Part, Resizing


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
    return image.resize((width, height), PILLOW_FILTERS[resample]) if planes is None else picture_of(planes)


def resized_crop(image: Image.Image, part: Part, width: int, height: int, resample: str) -> Uint8Array:
    """Return the planes of a part of a picture at another size, equal to what Pillow's `crop` and `resize` give.

    Args:
        image: picture of the mode `L` or `RGB`; not altered.
        part: edges of the part, within the picture.
        width: columns of the result.
        height: rows of the result.
        resample: name in `PILLOW_FILTERS`.

    Returns:
        uint8 array of shape (C, height, width).
    """
    left, top, right, bottom = part
    box = (0, 0, right - left, bottom - top)
    planes = resampled(image, Resizing(height, width, resample, box, range(height), range(width)), part)
    if planes is not None:
        return planes
    return channels_first(image.crop(part).resize((width, height), PILLOW_FILTERS[resample]))


def picture_of(planes: Uint8Array) -> Image.Image:
    """Return planes, uint8 [C, h, w] of one or three channels, as a picture."""
    channels, height, width = planes.shape
    if channels == 1:
        return Image.fromarray(planes[0])
    pixels = np.empty((height, width, channels), np.uint8)
    write_pixels(planes, pixels)
    return Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)


def write_pixels(levels: Image.Image | Uint8Array, out: Uint8Array) -> None:
    """Copy the pixels of a picture to an array.

    Args:
        levels: picture of the mode `L` or `RGB`, or its planes, uint8 [C, h, w].
        out: uint8 [h, w, C].
    """
    if out.shape[-1] == 1 or not interleaved(levels, out):
        out[...] = np.moveaxis(channels_first(levels) if isinstance(levels, Image.Image) else levels, 0, -1)


def channels_first(picture: Image.Image | Uint8Array) -> Uint8Array:
    """Return the pixels of a gray or RGB picture, or of an array [h, w] or [h, w, C], as [C, h, w]."""
    pixels = np.asarray(picture, dtype=np.uint8)
    planes = pixels[np.newaxis] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)  # noqa: PLR2004
    return np.ascontiguousarray(planes)
