"""Where inputs lie and outputs go: this machine's files without any package, all else through `pyarrow.fs`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder.

    Attributes:
        path: path within its storage.
        kind: `file`, `folder`, or `missing` where there is nothing of that path.
        size: size of a file in bytes; -1 where it is not known.
        stamp: time of its last change in nanoseconds; -1 where it is not known.
    """

    path: str
    kind: Literal["file", "folder", "missing"]
    size: int = -1
    stamp: int = -1


class Storage(Protocol):
    """A file system. Paths are its own: `address` makes of one what a person gives; all methods may raise OSError."""

    def address(self, path: str) -> str:
        """Return the path as it is shown, and given again: a path of this machine, or an address with its scheme."""

    def look_up(self, path: str) -> Entry:
        """Return what is at a path."""

    def entries(self, folder: str) -> Iterator[Entry]:
        """Yield what is directly in a folder, in any order; nothing where there is no such folder."""

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading at any place."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        """Return a file's content, at most one byte more than `limit`."""

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file in one step, in the place of what is there; folders are made."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a whole file unless there is one, in one step where the file system can; tell whether it was written."""

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""


def locate(address: str) -> tuple[Storage, str]:
    """Return the storage that an address or a path of this machine lies in, and the path within it.

    Raises:
        MissingComponentError: an address, and pyarrow or what fsspec needs for it is not installed.
        UsageError: an address with a password in it, or of a scheme that nothing reads.
        DataError: the file system does not answer.
    """
    raise NotImplementedError
