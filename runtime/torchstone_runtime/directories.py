"""Directories that appear whole or not at all, even where a process is killed in the middle."""

import ctypes
import errno
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import OutputError
from torchstone_runtime.file_locks import close_folder, open_folder, opens_folders
from torchstone_runtime.file_locks import lock as lock_handle
from torchstone_runtime.files import current_umask, reported_as_output_error

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_DIRECTORY_MODE: Final = 0o777


@contextmanager
def replaced_directory(target: Path) -> Iterator[Path]:
    """Hand out an empty directory beside `target` that takes its place when the block ends without an error.

    On an error, or after a kill, what was at `target` is as it was. What a killed process left beside it is removed
    by the next call, but on Windows, where no lock tells that its owner is gone. Whether what is there may be replaced
    is for the caller to check before.

    Raises:
        OutputError: it can't be written, or the disk is full.
    """
    target = Path(os.path.realpath(target))  # what a link leads to is replaced, not the link
    with reported_as_output_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        _recover(target)
        _remove_abandoned(target)
        partial, lock = _make_locked(target)
        try:
            yield partial
            _flush(partial)
            os.chmod(partial, _DIRECTORY_MODE & ~current_umask())  # noqa: PTH101 - mkdtemp made it private
            _replace(partial, target)
        finally:
            close_folder(lock)
            shutil.rmtree(partial, ignore_errors=True)


def _make_locked(target: Path) -> tuple[Path, int | None]:
    # The lock tells the next export that this directory has an owner; it ends with the process, however that ends.
    while True:
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.partial-"))
        lock = open_folder(partial)
        lock_handle(lock, wait=True)
        if partial.is_dir():
            return partial, lock
        close_folder(lock)  # another export took it for abandoned before it was locked


def _remove_abandoned(target: Path) -> None:
    if not opens_folders():  # no lock tells whether its owner is alive
        return
    for path in target.parent.glob(f".{glob.escape(target.name)}.partial-*"):
        try:
            lock = open_folder(path)
        except OSError:
            continue
        try:
            lock_handle(lock, wait=False)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue  # its owner is alive
        finally:
            close_folder(lock)


def _replace(partial: Path, target: Path) -> None:
    if not target.exists():
        os.rename(partial, target)  # noqa: PTH104 - beside the exchange below
    elif not _exchange(partial, target):
        _replace_in_two_steps(partial, target)
    _flush_directory(target.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two directories in one step (Linux's renameat2); False where the system or file system can't."""
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(second))


def _renameat2() -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None


def _backup_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.previous")


def _replace_in_two_steps(partial: Path, target: Path) -> None:
    # A kill between the two leaves the earlier bundle under its backup name; `_recover` brings it back.
    backup = _backup_of(target)
    os.rename(target, backup)  # noqa: PTH104 - beside the exchange above
    os.rename(partial, target)  # noqa: PTH104
    shutil.rmtree(backup, ignore_errors=True)


def _recover(target: Path) -> None:
    backup = _backup_of(target)
    if not backup.is_dir():
        return
    if target.exists():
        shutil.rmtree(backup, ignore_errors=True)
    else:
        os.rename(backup, target)  # noqa: PTH104 - beside the exchange above


def _flush(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            _flush_directory(path)
        else:
            _flush_file(path)
    _flush_directory(folder)


def _flush_file(path: Path) -> None:
    # Windows flushes only what was opened for writing, and elsewhere a file may be read-only.
    handle = os.open(path, os.O_RDONLY if opens_folders() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_directory(folder: Path) -> None:
    handle = open_folder(folder)
    if handle is None:
        return
    try:
        os.fsync(handle)
    except OSError as error:
        raise OutputError(f"Cannot write {folder}: {error.strerror}.", "Check the disk.") from error
    finally:
        os.close(handle)
