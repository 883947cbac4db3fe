"""Opening a picture file: only formats that are read, without waiting, and without changing Pillow for others."""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Final

from PIL import Image

from torchstone_runtime.components import install_line
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.image_formats import START_BYTES, format_of, pillow_formats
from torchstone_runtime.images.input_spec import MAX_BITS

_TWELVE_BIT_MODE: Final = "I;12"
"""Raw mode of TIFF files of 12 bits, whose values Pillow leaves unscaled in 16."""


@contextmanager
def open_picture(source: str | os.PathLike[str] | bytes, name: str) -> Iterator[Image.Image]:
    """Open a picture for the block; its pixels are decoded when they are asked for.

    Args:
        source: a path or the bytes of an image file.
        name: name of the picture, for messages.

    Raises:
        ImageError: a HEIC or AVIF picture that this installation can't read; for anything else, what Pillow raises.
    """
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
            f"Install it: {install_line('heic')}",
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
    # Opening a named pipe would wait for a writer, perhaps forever; the flag means nothing to regular files.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@dataclass(frozen=True, slots=True)
class PixelStorage:
    """How a file stores its pixels; known only before they are decoded.

    Attributes:
        name_of_format: name of the file format in Pillow; None for a picture from no file.
        raw_mode: mode of the file's pixels, as Pillow's decoders call it; empty where it is not known.
    """

    name_of_format: str | None
    raw_mode: str

    @classmethod
    def of(cls, image: Image.Image) -> "PixelStorage":
        """Return that of an image that was opened but not decoded."""
        tiles = getattr(image, "tile", None) or [None]
        arguments = getattr(tiles[0], "args", None)
        raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
        return cls(image.format, raw_mode if isinstance(raw_mode, str) else "")

    @property
    def stated_bits(self) -> int | None:
        """How many bits the values use where the file itself says what its white is, else None."""
        if self.raw_mode == _TWELVE_BIT_MODE:
            return 12
        return MAX_BITS if self.name_of_format == "PPM" else None  # which Pillow scales to all of 16 bits

    @property
    def is_sixteen_bit_color(self) -> bool:
        """Whether it has 16 bits of several channels, of which Pillow reads the upper 8."""
        return ";16" in self.raw_mode and not self.raw_mode.startswith("I;16")
