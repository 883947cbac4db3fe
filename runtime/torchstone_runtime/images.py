"""Pictures to pixels: the one place where an image file becomes the array that a model is fed.

Training on folders, the export's golden samples and production inference all come through `decode_image`,
so they can't differ.
"""

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, Final, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from torchstone_runtime.errors import ImageError, UsageError
from torchstone_runtime.image_formats import FORMATS_HELP, START_BYTES, format_of, pillow_formats
from torchstone_runtime.input_spec import ColorMode, InputSpec

Uint8Array = npt.NDArray[np.uint8]
ImageInput = str | os.PathLike[str] | bytes | Image.Image

MAX_PIXELS: Final = 89_478_485
"""Largest picture decoded, in pixels: Pillow's own limit for decompression bombs (256 MiB of RGB)."""

_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_SIXTEEN_BIT_MODES: Final = ("I;16", "I;16L", "I;16B", "I;16N")
_GRAY_MODES: Final = frozenset({"1", "L", "I", *_SIXTEEN_BIT_MODES})
_ORIENTATION: Final = 0x0112
_ON_THEIR_SIDES: Final = (5, 6, 7, 8)
"""Values of the EXIF orientation (CIPA DC-008, 4.6.4) that exchange height and width."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a picture file says of itself.

    Attributes:
        height: in pixels, upright: after the EXIF rotation.
        width: likewise.
        is_gray: whether it has one channel, not counting a palette's indices.
    """

    height: int
    width: int
    is_gray: bool


def decode_image(source: ImageInput, spec: InputSpec) -> Uint8Array:
    """Decode one picture as the model expects it.

    In order: the first frame, the EXIF rotation, 16 bits reduced to 8, conversion to `spec.color` (an alpha
    channel is dropped), resizing to `spec.height` x `spec.width` (stretched) with `spec.resample`.

    Args:
        source: a path, the bytes of an image file, or a Pillow image (which is not altered).
        spec: what the model expects.

    Returns:
        uint8 array of shape (C, H, W).

    Raises:
        ImageError: no file, not an image, damaged, or more than `MAX_PIXELS` pixels.
        UsageError: no path, bytes or Pillow image.
    """
    return _decode(source, lambda image, name: _to_pixels(image, spec, name))


def decode_original(
    source: ImageInput, color: ColorMode, *, upright: bool = True, background: int | None = None
) -> Uint8Array:
    """Decode one picture in its own size: what `decode_image` has before it resizes.

    Args:
        source: as for `decode_image`.
        color: `L` or `RGB`.
        upright: whether the EXIF rotation is applied.
        background: gray level that a transparent picture is laid upon; None drops the alpha channel, as
            `decode_image` does.

    Returns:
        uint8 array of shape (C, h, w), h and w as the picture has them.

    Raises:
        ImageError, UsageError: as for `decode_image`.
    """

    def convert(image: Image.Image, name: str) -> Uint8Array:
        _check_size(image, name)
        turned = ImageOps.exif_transpose(image) if upright else image
        if background is not None and turned.has_transparency_data:
            ground = Image.new("RGBA", turned.size, (background, background, background, 255))
            turned = Image.alpha_composite(ground, turned.convert("RGBA"))
        return _channels_first(_to_eight_bits(turned, name, image.format).convert(color))

    return _decode(source, convert)


def _decode(source: ImageInput, convert: Callable[[Image.Image, str], _Result]) -> _Result:
    if not isinstance(source, str | os.PathLike | bytes | Image.Image):
        raise UsageError(
            f"An image was given as {type(source).__name__}; expected a path, the bytes of a file or a Pillow image.",
            "Give many arrays as one: numpy.stack(images).",
        )
    name = describe(source)
    try:
        if isinstance(source, Image.Image):
            return convert(source, name)
        with _open_image(source, name) as image:
            return convert(image, name)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{name} does not exist.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} has more than {MAX_PIXELS:,} pixels.", "Scale the picture down first.") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image of a format that is read.", FORMATS_HELP) from error
    except Exception as error:  # Pillow's decoders raise whatever their format makes them raise.
        raise ImageError(f"{name} cannot be read as an image: {_first_line(error)}.", FORMATS_HELP) from error


def describe(source: ImageInput) -> str:
    """Name an image input for a message: its path, or what kind of object it is."""
    if isinstance(source, bytes):
        return f"the image data ({len(source):,} bytes)"
    if isinstance(source, Image.Image):
        return f"the {source.mode} image of {source.width} x {source.height}"
    return str(Path(source))


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


def encode_thumbnail(source: str | os.PathLike[str] | bytes, side: int) -> bytes:
    """Return a picture as a small image file for people: upright, at most `side` pixels high and wide, not enlarged.

    Args:
        source: a path or the bytes of an image file; one that `decode_image` takes, which knows the limits.
        side: in pixels.

    Raises:
        ImageError: it cannot be decoded.
    """
    name = describe(source)
    try:
        with _open_image(source, name) as image:
            image.draft("RGB", (side, side))  # lets a JPEG be decoded at a fraction of its size
            small = _to_eight_bits(ImageOps.exif_transpose(image), name, image.format).convert("RGB")
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever their format makes them raise.
        raise ImageError(f"{name} cannot be read as an image: {_first_line(error)}.", FORMATS_HELP) from error
    reduced = max(small.size) > side
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    # JPEG would smear the few pixels of a small picture.
    small.save(buffer, format="JPEG" if reduced else "PNG", quality=80)
    return buffer.getvalue()


def picture_header(source: str | os.PathLike[str] | bytes) -> "PictureHeader":
    """Return what a picture file says of itself, without decoding its pixels.

    Args:
        source: a path or the bytes of an image file.

    Raises:
        ImageError: no file, not an image, or more than `MAX_PIXELS` pixels.
    """

    def read(image: Image.Image, name: str) -> PictureHeader:
        _check_size(image, name)
        # Pillow's TIFF reader states the size as it is after the rotation, the other readers as it is before.
        turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in _ON_THEIR_SIDES
        height, width = (image.width, image.height) if turned else (image.height, image.width)
        return PictureHeader(height, width, is_gray=image.mode in _GRAY_MODES)

    return _decode(source, read)


@contextmanager
def _open_image(source: str | os.PathLike[str] | bytes, name: str) -> Iterator[Image.Image]:
    with _open(source) as file:
        kind = format_of(file.read(START_BYTES))
        file.seek(0)
        if kind == "HEIF":
            opened = _open_heif(file, name)
        elif kind == "AVIF" and kind not in pillow_formats():
            raise ImageError(f"{name} is an AVIF picture; this Pillow reads none.", "Install it: pip install -U pillow")
        else:
            opened = Image.open(file, formats=pillow_formats())
        with opened as image:
            yield image


def _open_heif(file: IO[bytes], name: str) -> Image.Image:
    try:
        # Not its register_heif_opener(): that would change Pillow for the whole program.
        plugin = import_module("pillow_heif.as_plugin")
    except ImportError as error:
        raise ImageError(
            f"{name} is a HEIC picture, as telephones take them; to read it, pillow-heif is needed.",
            'Install it: pip install "torchstone[heic]"',
        ) from error
    image: Image.Image = plugin.HeifImageFile(file)
    return image


def _open(source: str | os.PathLike[str] | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    file = open(source, "rb", opener=_open_without_waiting)  # noqa: SIM115 - a Path takes no opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is not a regular file")
    return file


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe would wait for a writer, perhaps for ever; the flag means nothing to regular files.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _to_pixels(image: Image.Image, spec: InputSpec, name: str) -> Uint8Array:
    _check_size(image, name)
    upright = ImageOps.exif_transpose(image)
    converted = _to_eight_bits(upright, name, image.format).convert(spec.color)
    if converted.size != (spec.width, spec.height):
        converted = converted.resize((spec.width, spec.height), _FILTERS[spec.resample])
    return _channels_first(converted)


def _check_size(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(
            f"{name} has {image.width:,} x {image.height:,} pixels; the limit is {MAX_PIXELS:,} in all.",
            "Scale the picture down first.",
        )


def _channels_first(image: Image.Image) -> Uint8Array:
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[np.newaxis] if pixels.ndim == 2 else np.ascontiguousarray(np.moveaxis(pixels, -1, 0))  # noqa: PLR2004


def _to_eight_bits(image: Image.Image, name: str, name_of_format: str | None) -> Image.Image:
    # Pillow's own conversion of these modes clips at 255 instead of scaling.
    # Pillow opens a 16-bit PGM file as 32-bit integers, scaled to 0..65535.
    if image.mode in _SIXTEEN_BIT_MODES or (image.mode == "I" and name_of_format == "PPM"):
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{name} has 32-bit pixels (mode {image.mode}), whose range is not known.",
            "Convert it to 8 or 16 bits first.",
        )
    return image


def _first_line(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text.rstrip(".")
