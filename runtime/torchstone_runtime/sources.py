"""Pictures that a command line names: files, folders, patterns, and what comes through stdin."""

import errno
import glob
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import DataError
from torchstone_runtime.images import IMAGE_SUFFIXES

STDIN: Final = "-"
MAX_STDIN_IMAGE: Final = 256 << 20
_PEEKED: Final = 16
_STDIN_REMEDY: Final = "Give it paths, one a line, or the bytes of an image file."
_IMAGE_START: Final = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF....WEBP|BM....\0\0\0\0|P[1-6]\s+[\d#]", re.DOTALL
)
"""The first bytes of the formats that are read: PNG, JPEG, GIF, TIFF, WebP, BMP, PNM."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to classify.

    Attributes:
        name: as it was given or found.
        source: its path, or the bytes of an image file.
    """

    name: str
    source: Path | bytes


def find_pictures(arguments: Iterable[str], stdin: BufferedReader) -> Iterator[Picture]:
    """Yield the pictures that arguments name, in order, as they are found.

    Args:
        arguments: a file; a folder, which is searched for files with an image's suffix, hidden ones left out, sorted;
            a pattern with `*`, `?`, `[...]` or `**`, unless there is a file of that name; or `-` for `stdin`.
        stdin: read where `-` is given: an image file, or paths of files and folders, one a line.

    Raises:
        DataError: a folder without images, or nothing of use on stdin.
    """
    for argument in arguments:
        if argument == STDIN:
            yield from _from_stdin(stdin)
        elif glob.has_magic(argument) and not os.path.lexists(argument):
            # Without a match the pattern is taken for a name, as a shell does: it is then told as missing.
            for found in sorted(glob.glob(argument, recursive=True)) or [argument]:  # noqa: PTH207 - `**` as in a shell
                yield from _from_path(found)
        else:
            yield from _from_path(argument)


def _from_path(path: str) -> Iterator[Picture]:
    if not os.path.isdir(path):  # noqa: PTH112 - names stay as they were given
        yield Picture(path, Path(path))
        return
    empty = True
    for found in _search(path):
        empty = False
        yield Picture(str(Path(found)), Path(found))
    if empty:
        raise DataError(f"{path} holds no image files.", "Give image files or a folder with some.")


def _search(folder: str) -> Iterator[str]:
    """Yield image files in a folder and its sub-folders; one folder's names are held at a time, not a million."""
    with os.scandir(folder) as entries:
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in visible:
        # A link to a folder might lead back here.
        if entry.is_dir(follow_symlinks=False):
            yield from _search(entry.path)
        elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES and entry.is_file():  # noqa: PTH122 - no Path each
            yield entry.path


def _from_stdin(stdin: BufferedReader) -> Iterator[Picture]:
    try:
        start = stdin.peek(_PEEKED)
    except OSError as error:
        why = "is closed" if error.errno == errno.EBADF else f"cannot be read: {error.strerror or error}"
        raise DataError(f"stdin {why}.", _STDIN_REMEDY) from error
    if _IMAGE_START.match(start):
        content = stdin.read(MAX_STDIN_IMAGE + 1)
        if len(content) > MAX_STDIN_IMAGE:
            raise DataError(f"The image on stdin has more than {MAX_STDIN_IMAGE >> 20} MiB.", "Give a file instead.")
        yield Picture(STDIN, content)
        return
    if not start:
        raise DataError("stdin is empty.", _STDIN_REMEDY)
    if b"\0" in start:
        raise DataError(
            "stdin holds neither paths nor an image of a format that is read.",
            "Give it paths, one a line, or a PNG, JPEG, BMP, GIF, TIFF, WebP, PGM or PPM file.",
        )
    for line in stdin:
        if path := os.fsdecode(line.rstrip(b"\r\n")):
            yield from _from_path(path)
