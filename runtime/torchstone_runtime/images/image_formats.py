"""Which files are pictures: told by their first bytes where the ending doesn't say."""

import os
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from torchstone_runtime.text import showable

IMAGE_SUFFIXES: Final = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif"}
    | {".heic", ".heif", ".hif", ".pbm", ".pgm", ".ppm", ".pnm"}
)
"""Files with these endings are taken for pictures; one that is none is an error that names it."""

FORMATS_HELP: Final = (
    "Replace or remove it; PNG, JPEG, BMP, GIF, TIFF, WebP, AVIF, PBM, PGM and PPM are read, HEIC where pillow-heif is "
    "installed."
)
START_BYTES: Final = 64
"""As many of a file's first bytes as `format_of` looks at."""

_ALWAYS_READ: Final = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_STARTS: Final = (
    ("PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("JPEG", re.compile(rb"\xff\xd8\xff")),
    ("GIF", re.compile(rb"GIF8[79]a")),
    ("TIFF", re.compile(rb"II[*+]\0|MM\0[*+]")),
    ("WEBP", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("BMP", re.compile(rb"BM....\0\0\0\0", re.DOTALL)),
    ("PPM", re.compile(rb"P[1-6]\s+(?:#|\d+\s+(?:#|\d))")),
)
_HEIC_BRANDS: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
_OF_THE_SYSTEM: Final = frozenset({"thumbs.db", "desktop.ini"})
_SHOWN: Final = 3


def format_of(start: bytes) -> str | None:
    """Return the format of a picture file, as Pillow calls it, or None for anything else.

    Args:
        start: the first `START_BYTES` bytes of the file, or the whole of a shorter one.
    """
    if start[4:8] == b"ftyp":
        size = int.from_bytes(start[:4], "big")
        brands = {start[8:12], *(start[place : place + 4] for place in range(16, min(size, len(start)) - 3, 4))}
        return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIC_BRANDS else None
    return next((name for name, pattern in _STARTS if pattern.match(start)), None)


@cache
def pillow_formats() -> tuple[str, ...]:
    """Return what Pillow may open. Others do more than decode: for EPS it starts Ghostscript on the file."""
    return (*_ALWAYS_READ, "AVIF") if find_spec("PIL._avif") else _ALWAYS_READ


def is_picture(path: str) -> bool:
    """Return whether a file is taken for a picture: by its ending, or else by its first bytes.

    Files that can't be read and those that are not regular (pipes, devices) are none.
    """
    if os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 - for each of perhaps a million files
        return os.path.isfile(path)  # noqa: PTH113 - likewise
    try:
        if not os.path.isfile(path):  # noqa: PTH113 - likewise
            return False
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - likewise
            return format_of(file.read(START_BYTES)) is not None
    except OSError:
        return False


@dataclass
class OtherFiles:
    """Files among pictures that are none: their number, and the names of the first.

    Attributes:
        count: all of them.
        names: the first few, safe to print.
    """

    count: int = 0
    names: list[str] = field(default_factory=list)

    def add(self, path: str) -> None:
        """Count a file, unless it is one that an operating system leaves in folders."""
        name = Path(path).name
        if name.lower() in _OF_THE_SYSTEM:
            return
        self.count += 1
        if len(self.names) < _SHOWN:
            self.names.append(showable(name))

    def lines(self, where: str) -> list[str]:
        """Return what is to be said of them, on one line; nothing where there are none."""
        if not self.count:
            return []
        named = ", ".join(self.names) + (", …" if self.count > len(self.names) else "")
        are = "file is not a picture" if self.count == 1 else "files are not pictures"
        return [f"left out: {self.count:,} {are} in a supported format, in {where}: {named}"]
