"""Pictures to pixels: the one place where an image file becomes the array that a model is fed.

Training on folders, the export's golden samples and production inference all come through `decode_image`,
so they can't differ.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError, UsageError, first_line
from torchstone_runtime.images.bit_depth import scale_to_eight_bits
from torchstone_runtime.images.geometry import MAX_PIXELS, fit_picture
from torchstone_runtime.images.image_formats import FORMATS_HELP
from torchstone_runtime.images.input_spec import MAX_BITS, ColorMode, InputSpec
from torchstone_runtime.images.orientation import UPRIGHT, orientation_of
from torchstone_runtime.images.picture_file import PixelStorage, open_picture
from torchstone_runtime.images.reduced_decoding import reduce_decoding
from torchstone_runtime.images.resampling.resized_part import channels_first

ImageInput = str | os.PathLike[str] | bytes | Image.Image

SIXTEEN_BIT_MODES: Final = ("I;16", "I;16L", "I;16B", "I;16N")

_Result = TypeVar("_Result")


def decode_image(source: ImageInput, spec: InputSpec) -> Uint8Array:
    """Decode one picture as the model expects it.

    In order: the first frame, with `spec.decode` at a part of its size (`reduce_decoding`), the EXIF rotation, 16 bits
    (of which `spec.bits` are used) reduced to 8, conversion to `spec.color` (an alpha channel is dropped), and
    `spec.height` x `spec.width` by `fit_picture`. Embedded colour profiles are not applied.

    Args:
        source: a path, the bytes of an image file, or a Pillow image (which is not altered, and so decoded whole).
        spec: input specification of the model.

    Returns:
        uint8 array of shape (C, H, W).

    Raises:
        ImageError: no file, not an image, damaged, or more than `MAX_PIXELS` pixels, be it on the way only.
        UsageError: no path, bytes or Pillow image.
    """
    reduced = spec.decode == "reduced" and not isinstance(source, Image.Image)
    return read_picture(source, lambda image, name: to_pixels(image, spec, name, reduced=reduced))


def decode_original(
    source: ImageInput,
    color: ColorMode,
    *,
    upright: bool = True,
    background: int | None = None,
    bits: int = MAX_BITS,
) -> Uint8Array:
    """Decode one picture in its own size: what `decode_image` has before it resizes.

    Args:
        source: picture, in any form that `decode_image` takes.
        color: `L` or `RGB`.
        upright: whether the EXIF rotation is applied.
        background: gray level that a transparent picture is laid upon; None drops the alpha channel, as
            `decode_image` does.
        bits: number of bits that the values of a 16-bit picture use, 8 to 16.

    Returns:
        uint8 array of shape (C, h, w), h and w as the picture has them.

    Raises:
        ImageError, UsageError: as for `decode_image`.
    """

    def convert(image: Image.Image, name: str) -> Uint8Array:
        check_size(image, name)
        container = PixelStorage.of(image)
        turned = _turned(image) if upright else image
        if background is not None and turned.has_transparency_data:
            ground = Image.new("RGBA", turned.size, (background, background, background, 255))
            turned = Image.alpha_composite(ground, turned.convert("RGBA"))
        return channels_first(_in_color(to_eight_bits(turned, name, container, bits), color))

    return read_picture(source, convert)


def upright_picture(image: Image.Image, name: str, color: ColorMode, bits: int = MAX_BITS) -> Image.Image:
    """Return an opened picture in its own size, upright, of 8 bits and a colour mode, as `decode_original` has it.

    Args:
        image: picture, not decoded yet.
        name: name of the picture, for messages.
        color: `L` or `RGB`.
        bits: number of bits that the values of a 16-bit picture use, 8 to 16.

    Raises:
        ImageError: more than `MAX_PIXELS` pixels, or values whose range is not known.
    """
    check_size(image, name)
    container = PixelStorage.of(image)
    return _in_color(to_eight_bits(_turned(image), name, container, bits), color)


def read_picture(source: ImageInput, convert: Callable[[Image.Image, str], _Result]) -> _Result:
    """Open a picture and return what `convert` makes of it, whatever goes wrong being told as an `ImageError`.

    Args:
        source: picture, in any form that `decode_image` takes.
        convert: function of the picture, not decoded yet, and its name for messages.

    Raises:
        ImageError, UsageError: as for `decode_image`.
    """
    if not isinstance(source, str | os.PathLike | bytes | Image.Image):
        raise UsageError(
            f"An image was given as {type(source).__name__}; expected a path, the bytes of a file or a Pillow image.",
            "Give many arrays as one: numpy.stack(images).",
        )
    name = describe(source)
    try:
        if isinstance(source, Image.Image):
            return convert(source, name)
        with open_picture(source, name) as image:
            return convert(image, name)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own limit: the same, unless the process has set another.
        limit = min(Image.MAX_IMAGE_PIXELS or MAX_PIXELS, MAX_PIXELS)
        raise ImageError(f"{name} has more than {limit:,} pixels.", "Scale the picture down first.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image in a supported format.", FORMATS_HELP) from error
    except Exception as error:  # Pillow's decoders raise whatever their format makes them raise.
        raise ImageError(
            f"{name} cannot be read as an image: {first_line(error).rstrip('.')}.", FORMATS_HELP
        ) from error


def describe(source: ImageInput) -> str:
    """Name an image input for a message: its path, or what kind of object it is."""
    if isinstance(source, bytes):
        return f"the image data ({len(source):,} bytes)"
    if isinstance(source, Image.Image):
        return f"the {source.mode} image of {source.width} x {source.height}"
    return str(Path(source))


def to_pixels(image: Image.Image, spec: InputSpec, name: str, *, reduced: bool) -> Uint8Array:
    """Return what `decode_image` does, of a picture that `read_picture` has opened.

    Args:
        image: picture, as a file holds it.
        spec: input specification.
        name: name of the picture in messages.
        reduced: whether a JPEG file may be decoded at a part of its size; not of a picture in memory.

    Raises:
        ImageError: more than `MAX_PIXELS` pixels, be it on the way only, or values whose range is not known.
    """
    check_size(image, name)
    container = PixelStorage.of(image)
    whole = reduce_decoding(image, spec) if reduced else None
    converted = _in_color(to_eight_bits(_turned(image), name, container, spec.bits), spec.color)
    return fit_picture(converted, spec, name, whole)


def check_size(image: Image.Image, name: str) -> None:
    """Check that a picture has at most `MAX_PIXELS` pixels.

    Raises:
        ImageError: it has more.
    """
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f"{name} has {image.width:,} x {image.height:,} pixels; the limit is {MAX_PIXELS:,} in all.",
            "Scale the picture down first.",
        )


# Both of Pillow's functions copy a picture that is as it should be: of a large one that takes as long as decoding it.


def _turned(image: Image.Image) -> Image.Image:
    image.load()  # a PNG's rotation may stand after its pixels, and a TIFF is turned as it is read
    return ImageOps.exif_transpose(image) if orientation_of(image) != UPRIGHT else image


def _in_color(image: Image.Image, color: ColorMode) -> Image.Image:
    return image if image.mode == color else image.convert(color)


def to_eight_bits(image: Image.Image, name: str, container: PixelStorage, bits: int) -> Image.Image:
    """Return a picture of 8 bits a channel.

    Raises:
        ImageError: the range of its values is not known, or is not that of `bits`.
    """
    # Pillow's own conversion of these modes clips at 255 instead of scaling.
    if image.mode in SIXTEEN_BIT_MODES or (image.mode == "I" and container.stated_bits):
        try:
            return Image.fromarray(scale_to_eight_bits(np.asarray(image), container.stated_bits or bits))
        except ValueError as error:
            raise ImageError(f"{name} {error}.", "Give another number of bits (--bits).") from error
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name} has 32-bit pixels (mode {image.mode}), whose range is not known.",
            "Convert it to 8 or 16 bits first.",
        )
    if bits < MAX_BITS and container.is_sixteen_bit_color:
        raise ImageError(
            f"{name} is a 16-bit picture in colour (or with transparency), of which only the upper 8 bits are read, so "
            f"that it can't be taken for one of {bits} bits.",
            "Scale it to 8 bits first.",
        )
    return image
