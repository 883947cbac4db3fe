"""This machine's file system, as a `Storage`."""

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from torchstone_runtime.files import write_atomic
from torchstone_runtime.shards.storage import Entry

_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""What file systems without hard links answer: exFAT, many network drives."""


class LocalStorage:
    """Files and folders of this machine; links to files are followed, links to folders are not entered."""

    remote = False

    def address(self, path: str) -> str:
        """See `Storage`."""
        return path

    def path_of(self, address: str) -> str:
        """See `Storage`."""
        return address

    def look_up(self, path: str) -> Entry:
        """See `Storage`."""
        try:
            found = os.stat(path)  # noqa: PTH116 - names stay as they were given
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
            return Entry(path, "missing")
        if stat.S_ISDIR(found.st_mode):
            return Entry(path, "folder")
        return Entry(path, "file", found.st_size, found.st_mtime_ns)

    def has_bucket_of(self, path: str) -> bool:
        """See `Storage`."""
        del path
        return True

    def entries(self, folder: str) -> Iterator[Entry]:
        """See `Storage`."""
        try:
            found = os.scandir(folder)
        except FileNotFoundError:
            return
        with found:
            for entry in found:
                # A link to a folder might lead back here.
                if entry.is_dir(follow_symlinks=False):
                    yield Entry(entry.path, "folder")
                elif facts := _facts_of_file(entry):
                    yield Entry(entry.path, "file", facts.st_size, facts.st_mtime_ns)

    def open(self, path: str) -> IO[bytes]:
        """See `Storage`; what is not a regular file is refused, a named pipe without waiting for a writer."""
        return _opened(path)

    def read(self, path: str, limit: int | None = None) -> bytes:
        """See `Storage`."""
        with _opened(path, buffering=0) as file:
            if limit is None:
                return file.read()
            # A read of up to the limit would set aside that much memory for each small file.
            small = os.fstat(file.fileno()).st_size <= limit
            return file.read()[: limit + 1] if small else file.read(limit + 1)

    def write(self, path: str, content: bytes) -> None:
        """See `Storage`; an OutputError in the place of OSError."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(Path(path), content)

    def create(self, path: str, content: bytes) -> bool:
        """See `Storage`."""
        folder = Path(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".partial") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(file.name, 0o644)  # noqa: PTH101 - which was made for its owner alone
            try:
                os.link(file.name, path)  # of all who try, one alone succeeds
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return _created_in_place(path, content)
        return True

    def remove(self, path: str) -> None:
        """See `Storage`."""
        Path(path).unlink(missing_ok=True)


LOCAL: Final = LocalStorage()


def _created_in_place(path: str, content: bytes) -> bool:
    # One alone succeeds here, too; but others may see the file before its content is whole.
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(file, "wb") as created:
            created.write(content)
            created.flush()
            os.fsync(created.fileno())
    except OSError:
        Path(path).unlink(missing_ok=True)
        raise
    return True


def _facts_of_file(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return the facts of a file; None where it is none, or was removed since its folder was read."""
    try:
        return entry.stat() if entry.is_file() else None
    except FileNotFoundError:
        return None


def _opened(path: str, buffering: int = -1) -> IO[bytes]:
    file: IO[bytes] = open(path, "rb", buffering, opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(0, "it is not a regular file", path)
    return file


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
