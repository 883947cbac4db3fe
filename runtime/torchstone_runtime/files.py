"""Output files that appear whole or not at all."""

import errno
import itertools
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from torchstone_runtime.errors import OutputError, first_line

_DEFAULT_MODE = 0o666
_umask_turn = threading.Lock()


@contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path` that takes its place when the block ends without an error.

    Raises:
        OutputError: the directory is missing or not writable, or the disk is full; `path` is as it was.
    """
    with reported_as_output_error(path):
        path = _target(path)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, _DEFAULT_MODE & ~current_umask())  # noqa: PTH101 - mkstemp made it private
            os.replace(temporary, path)  # noqa: PTH105 - a plain name, not a Path
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8, in one step as seen by a reader.

    A lone surrogate, such as Python has for a byte of a file name that is not UTF-8, is written as its escape.

    Raises:
        OutputError: see `atomic_writer`.
    """
    with atomic_writer(path) as file:
        file.write(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)


def require_writable_parent(path: Path) -> None:
    """Create the parent directory of a file to be written later and try to write there.

    Raises:
        OutputError: it cannot be made or written, or `path` is a directory.
    """
    with reported_as_output_error(path):
        path = _target(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


def numbered_directory(parent: Path, name: str) -> Path:
    """Return the first of `parent/name-1`, `parent/name-2`, ... that is not there yet; nothing is made."""
    return next(path for number in itertools.count(1) if not os.path.lexists(path := parent / f"{name}-{number}"))


def _target(path: Path) -> Path:
    # A rename would put a file in the place of a link, or of a device such as /dev/null.
    target = path.resolve() if path.is_symlink() else path
    if target.is_dir():
        raise OutputError(f"Cannot write {path}: it is a directory.", "Name a file.")
    if target.exists() and not target.is_file():
        raise OutputError(f"Cannot write {path}: it is not a regular file.", "Name a file.")
    return target


@contextmanager
def reported_as_output_error(path: Path) -> Iterator[None]:
    """Turn an operating-system error inside the block into an `OutputError` that names `path`."""
    try:
        yield
    except OSError as error:
        raise output_error(str(path), path, error) from error


def output_error(shown: str, path: Path, error: OSError) -> OutputError:
    """Return what to tell of a system's error in writing to `path`, which a person knows as `shown`."""
    if error.errno in (errno.EEXIST, errno.ENOTDIR) and (file := _file_in_the_way(path)) is not None:
        where = "it" if file == path else file
        return OutputError(
            f"Cannot write {shown}: {where} is a file, and a folder is needed there.",
            "Choose a folder, or a name that nothing has yet.",
        )
    reason = error.strerror or first_line(error)
    return OutputError(
        f"Cannot write {shown}: {reason.rstrip('.')}.", "Choose a place that you may write to, and that has room."
    )


def _file_in_the_way(path: Path) -> Path | None:
    return next((place for place in (path, *path.parents) if place.exists() and not place.is_dir()), None)


def current_umask() -> int:
    """Return the process's file mode mask."""
    with suppress(OSError, ValueError):  # not on Linux
        found = re.search(r"^Umask:\s*([0-7]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
        if found:
            return int(found[1], 8)
    # Two threads at once would take each other's for the process's, and what a third one makes would be readable.
    with _umask_turn:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask
