"""Where inputs lie and outputs go: this machine's files without any package, all else through `pyarrow.fs`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Final, Literal, Protocol

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import DataError, UsageError, first_line

if TYPE_CHECKING:
    from torchstone_runtime.shards.arrow_storage import ArrowStorage

SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
"""How an address begins; a letter alone would be a drive of Windows."""
UNREADABLE_REMEDY: Final = "Check the address, the credentials and the network; nothing that was written is lost."

_REFUSED: Final = re.compile(r"in bucket '([^']*)': AWS Error ACCESS_DENIED during (\w+) operation")
"""How pyarrow tells that S3 refuses an action."""


class StorageError(DataError):
    """A disk, a network or a service fails or refuses, which is no fault of the file that was asked for."""


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

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]


class Storage(Protocol):
    """A file system. Paths are its own; every method may raise OSError."""

    @property
    def remote(self) -> bool:
        """Whether each call is an errand to another machine."""

    def address(self, path: str) -> str:
        """Return the path as it is shown, and given again: a path of this machine, or an address with its scheme."""

    def path_of(self, address: str) -> str:
        """Return the path that such an address stands for."""

    def look_up(self, path: str) -> Entry:
        """Return what is at a path."""

    def has_bucket_of(self, path: str) -> bool:
        """Return whether the bucket that a path lies in exists; True where there are no buckets."""

    def entries(self, folder: str) -> Iterator[Entry]:
        """Yield what is directly in a folder, in any order; nothing where there is no such folder."""

    def open(self, path: str) -> IO[bytes]:
        """Open a file for reading at any place."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        """Return a file's content, of more than `limit` bytes one more than these."""

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file in one step, in the place of what is there; folders are made."""

    def create(self, path: str, content: bytes) -> bool:
        """Write a whole file unless there is one, in one step where that can be; tell whether it was written."""

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens where there is none."""


def is_address(text: str) -> bool:
    """Tell whether a text is an address of another file system, not a path of this machine."""
    return SCHEME.match(text) is not None


def locate(address: str, query: str = "") -> tuple[Storage, str]:
    """Return the storage that an address or a path of this machine lies in, and the path within it.

    Args:
        address: path, or address with or without parameters behind a question mark.
        query: parameters of an address that are not part of it, see `Shard.query`.

    Raises:
        MissingComponentError: an address, and pyarrow or what fsspec needs for it is not installed.
        UsageError: an address with a password in it, or of a scheme that nothing reads.
        DataError: the file system does not answer.
    """
    if address.startswith("file://"):
        address = address.removeprefix("file://")
    found = SCHEME.match(address)
    if found is None:
        from torchstone_runtime.shards.local_storage import LOCAL  # noqa: PLC0415 - which imports this module

        return LOCAL, address
    plain, own = split_query(address)
    scheme, rest = found[1].lower(), plain[found.end() :]
    host = rest.partition("/")[0]
    if "@" in host and ":" in host.partition("@")[0]:
        raise UsageError(
            f"The address {scheme}://…@{host.rpartition('@')[2]} holds a password, which would be written to files.",
            "Give credentials as the storage's own tools take them: environment variables, or a profile.",
        )
    storage = _open_storage(scheme, host, query or own)
    return storage, storage.path_of(plain)


def split_query(address: str) -> tuple[str, str]:
    """Return an address without its parameters, and these; a path of this machine may hold a question mark."""
    if not is_address(address) or address.partition("://")[0] in ("http", "https"):
        return address, ""
    plain, _, query = address.partition("?")
    # A pattern may hold a question mark too; parameters are names with values.
    return (plain, query) if "=" in query and "/" not in query.partition("=")[0] else (address, "")


@lru_cache(maxsize=64)
def _open_storage(scheme: str, host: str, query: str) -> "ArrowStorage":
    require_component("scale", "pyarrow")
    from torchstone_runtime.shards.arrow_storage import open_arrow_storage  # noqa: PLC0415 - pyarrow, where needed

    try:
        return open_arrow_storage(scheme, host, query)
    except OSError as error:
        raise unreadable(f"{scheme}://{host}", error) from error


def unreadable(address: str, error: Exception | str) -> StorageError:
    """Return the error that a storage, not one file, cannot be read."""
    reason = error if isinstance(error, str) else getattr(error, "strerror", None) or first_line(error)
    if refused := _REFUSED.search(reason):
        return StorageError(
            f"{address} cannot be read: the bucket '{refused[1]}' refuses {refused[2]} to these credentials.",
            "Allow s3:ListBucket and s3:GetObject, or give other credentials; nothing that was written is lost.",
        )
    return StorageError(f"{address} cannot be read: {reason.rstrip('.')}.", UNREADABLE_REMEDY)
