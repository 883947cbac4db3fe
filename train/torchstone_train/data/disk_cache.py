"""Decoded pictures in files that outlive a run: keyed by the picture's file and what was made of it, for all runs.

A file of the cache holds a header (format, channels, width, height, CRC-32 of the pixels) and the pixels, uint8
(H, W, C) in C order. It appears whole, by a rename; what is damaged all the same counts as not there.
"""

import hashlib
import os
import struct
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from PIL import Image

_HEADER: Final = struct.Struct("<8sIIII")
_FORMAT: Final = b"tspix-1\n"
_SUFFIX: Final = ".pixels"
_PARTIAL: Final = ".partial"
_MODES: Final = {1: "L", 3: "RGB"}
_ABANDONED_AFTER: Final = 24 * 3600
"""Seconds after which a file that was never finished is taken for one whose writer was killed."""


class DiskCache:
    """Keeps pictures in a directory, up to a number of bytes in all; the ones that no run used for longest go first.

    Nothing that goes wrong with the directory stops a training: it is said once, and pictures are decoded again.

    Args:
        directory: directory of the cache, made where it is missing.
        budget: bytes of all its files; of several processes each is given its part of what is left.
        say: function that prints a line.
        processes: number of processes that write to the directory at once.
    """

    def __init__(self, directory: Path, budget: int, say: Callable[[str], None], processes: int = 1) -> None:
        self._directory = directory
        self._say = say
        self._lock = threading.Lock()
        self._writes = True
        # Files of earlier runs that this one has not used, the oldest first.
        self._unused: dict[Path, int] = {}
        self._room = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._room = self._take_stock(budget) // processes
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def load(self, key: Hashable) -> Image.Image | None:
        """See `PictureCache.load`."""
        try:
            path = self._path(key)
            content = path.read_bytes()
            with self._lock:
                unused = self._unused.pop(path, None)
            if unused is not None:
                os.utime(path)  # when it was used last
        except OSError:
            return None
        return _read(content)

    def store(self, key: Hashable, picture: Image.Image) -> None:
        """See `PictureCache.store`."""
        if not self._writes:
            return
        pixels = picture.tobytes()
        header = _HEADER.pack(_FORMAT, len(picture.getbands()), *picture.size, zlib.crc32(pixels))
        if not self._make_room(len(header) + len(pixels)):
            return
        try:
            _write(self._path(key), header, pixels)
        except OSError as error:
            self._give_up(error.strerror or str(error))

    def _path(self, key: Hashable) -> Path:
        name = hashlib.blake2b(str(key).encode("utf-8", "surrogateescape"), digest_size=20).hexdigest()
        return self._directory / name[:2] / (name[2:] + _SUFFIX)

    def _take_stock(self, budget: int) -> int:
        """Note the files that are there, and return how many bytes may be added."""
        found = sorted(_files(self._directory))
        self._unused = {path: size for _, path, size in found}
        return budget - sum(self._unused.values())

    def _make_room(self, size: int) -> bool:
        with self._lock:
            while self._room < size and self._unused:
                path = next(iter(self._unused))
                freed = self._unused.pop(path)
                with suppress(OSError):  # another process may have removed it, and has its room
                    path.unlink()
                    self._room += freed
            if self._room >= size:
                self._room -= size
                return True
            full, self._writes = self._writes, False
        if full:
            self._say(
                f"Note: the cache at {self._directory} is full: the other pictures are decoded in each epoch "
                "(--cache-size gives it more room)."
            )
        return False

    def _give_up(self, reason: str) -> None:
        with self._lock:
            first, self._writes = self._writes, False
        if first:
            self._say(
                f"Warning: pictures can't be cached at {self._directory}: {reason}. Training continues "
                "without a cache; they are decoded in each epoch."
            )


def _files(directory: Path) -> Iterator[tuple[float, Path, int]]:
    """Yield time, path and size of the cache's files; remove what killed writers left."""
    for folder in directory.iterdir():
        if len(folder.name) != 2 or not folder.is_dir():  # noqa: PLR2004 - as `_path` names them
            continue
        for path in folder.iterdir():
            with suppress(FileNotFoundError):  # another run may clear up as well
                found = path.stat()
                if path.suffix == _SUFFIX:
                    yield found.st_mtime, path, found.st_size
                elif path.suffix == _PARTIAL and time.time() - found.st_mtime > _ABANDONED_AFTER:
                    path.unlink()


def _write(path: Path, *parts: bytes) -> None:
    # Not files.atomic_writer: a cache may lose its latest files to a power cut, and syncing each would take longer than
    # decoding.
    path.parent.mkdir(exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=_PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(parts)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(content: bytes) -> Image.Image | None:
    if len(content) < _HEADER.size:
        return None
    form, channels, width, height, checksum = _HEADER.unpack_from(content)
    pixels = memoryview(content)[_HEADER.size :]
    fits = form == _FORMAT and channels in _MODES and len(pixels) == channels * width * height > 0
    if not fits or zlib.crc32(pixels) != checksum:
        return None
    return Image.frombytes(_MODES[channels], (width, height), pixels)
