"""Pictures that a command line names: files, folders, patterns, and what comes through stdin."""

import errno
import glob
import os
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import DataError
from torchstone_runtime.images.image_formats import START_BYTES, OtherFiles, format_of, is_picture

STDIN: Final = "-"
MAX_STDIN_IMAGE: Final = 256 << 20
_STDIN_REMEDY: Final = "Give it paths, one per line, or the bytes of an image file."


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture to classify.

    Attributes:
        name: name of the picture, as it was given or found.
        source: path of the picture, or the bytes of an image file.
    """

    name: str
    source: Path | bytes


def find_pictures(
    arguments: Iterable[str], stdin: BufferedReader | None = None, others: OtherFiles | None = None
) -> Iterator[Picture]:
    """Yield the pictures that arguments name, in order, as they are found.

    Args:
        arguments: a file; a folder, which is searched for image files, hidden ones left out, sorted;
            a pattern with `*`, `?`, `[...]` or `**`, unless there is a file of that name: each picture that it names
            or that lies in a folder which it names, once; or `-` for `stdin`.
        stdin: stream that is read where `-` is given: an image file, or paths of files and folders, one per line, in
            UTF-8 with or without a byte order mark. If None, `-` is a file of that name.
        others: record of the files in folders that are no pictures.

    Raises:
        DataError: a folder that cannot be read, a folder or a pattern without images, or nothing of use on stdin.
    """
    others = OtherFiles() if others is None else others
    for argument in arguments:
        if argument == STDIN and stdin is not None:
            yield from _from_stdin(stdin, others)
        elif glob.has_magic(argument) and not os.path.lexists(argument):
            yield from _from_pattern(argument, others)
        else:
            yield from _from_path(argument, others)


def _from_pattern(pattern: str, others: OtherFiles) -> Iterator[Picture]:
    # Without a match the pattern is taken for a name, as a shell does: it is then told as missing.
    matches = sorted({*glob.glob(pattern, recursive=True)}) or [pattern]  # noqa: PTH207 - `**` as in a shell
    # What matches within a folder that matches too has its own turn.
    own = frozenset(str(Path(match)) for match in matches)
    yield from _some_of(pattern, (found for match in matches for found in _pictures_at(match, others, own)))


def _from_path(path: str, others: OtherFiles) -> Iterator[Picture]:
    yield from _some_of(path, _pictures_at(path, others))


def _some_of(argument: str, pictures: Iterator[Picture]) -> Iterator[Picture]:
    """Yield the pictures of an argument; there must be one."""
    empty = True
    for picture in pictures:
        empty = False
        yield picture
    if empty:
        raise DataError(f"{argument} holds no image files.", "Give image files or a folder with some.")


def _pictures_at(path: str, others: OtherFiles, own: frozenset[str] = frozenset()) -> Iterator[Picture]:
    if not os.path.isdir(path):  # noqa: PTH112 - names stay as they were given
        yield Picture(path, Path(path))
        return
    for found in _search(path, others, own):
        yield Picture(str(Path(found)), Path(found))


def _search(folder: str, others: OtherFiles, left_out: frozenset[str]) -> Iterator[str]:
    """Yield image files in a folder and its sub-folders; one folder's names are held at a time, not a million."""
    for entry in _visible(folder):
        if left_out and str(Path(entry.path)) in left_out:
            continue
        # A link to a folder might lead back here.
        if entry.is_dir(follow_symlinks=False):
            yield from _search(entry.path, others, left_out)
        elif is_picture(entry.path):
            yield entry.path
        elif entry.is_file(follow_symlinks=False):
            others.add(entry.name)


def _visible(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((item for item in entries if not item.name.startswith(".")), key=lambda item: item.name)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be read: {error.strerror or error}.",
            "Make it readable, or name other pictures.",
        ) from error


def _from_stdin(stdin: BufferedReader, others: OtherFiles) -> Iterator[Picture]:
    try:
        start = stdin.peek(START_BYTES)
    except OSError as error:
        why = "is closed" if error.errno == errno.EBADF else f"cannot be read: {error.strerror or error}"
        raise DataError(f"stdin {why}.", _STDIN_REMEDY) from error
    if format_of(start[:START_BYTES]):
        content = stdin.read(MAX_STDIN_IMAGE + 1)
        if len(content) > MAX_STDIN_IMAGE:
            raise DataError(f"The image on stdin has more than {MAX_STDIN_IMAGE >> 20} MiB.", "Give a file instead.")
        yield Picture(STDIN, content)
        return
    if not start:
        raise DataError("stdin is empty.", _STDIN_REMEDY)
    if b"\0" in start:
        raise DataError(
            "stdin holds neither paths nor an image in a supported format.",
            "Give it paths, one per line, or a PNG, JPEG, BMP, GIF, TIFF, WebP, AVIF, PGM or PPM file.",
        )
    for number, line in enumerate(stdin):
        if path := os.fsdecode((line.removeprefix(BOM_UTF8) if number == 0 else line).rstrip(b"\r\n")):
            yield from _from_path(path, others)
