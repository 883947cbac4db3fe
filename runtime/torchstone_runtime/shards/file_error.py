"""Whose fault it is that a file cannot be read: its own, or that of the storage it lies in."""

import errno
from typing import Final

from torchstone_runtime.errors import ImageError
from torchstone_runtime.shards.storage import Storage, StorageError, unreadable

_ONE_FILE: Final = frozenset({0, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ELOOP})
"""Errors of one file of this machine (0: no regular file); any other is one of the disk or the network."""


def file_error(storage: Storage, path: str, error: OSError) -> ImageError | StorageError:
    """Return the error to raise for a file that could not be opened or read.

    Only a file that does not exist, or one of this machine that may not be read, is itself at fault: a service that
    refuses one object refuses the next, and of forty million pictures none should be written off for that.

    Args:
        storage: storage that was asked.
        path: path within it.
        error: error that it raised.

    Returns:
        An `ImageError` without the file's name, or a `StorageError` with its address.
    """
    address = storage.address(path)
    if isinstance(error, FileNotFoundError):
        try:
            found = storage.has_bucket_of(path)
        except OSError as other:
            return unreadable(address, other)
        return ImageError("the file does not exist.") if found else unreadable(address, "its bucket does not exist")
    if storage.remote or error.errno not in _ONE_FILE:
        return unreadable(address, error)
    return ImageError(f"the file cannot be read: {error.strerror or error}.")
