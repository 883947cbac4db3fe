"""What fsspec's file systems are asked, so that a service that fails is never taken for a file that does not exist."""

import io
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.fs

from torchstone_runtime.errors import first_line

T = TypeVar("T")

_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between attempts; together about as long as pyarrow's own client of S3 tries."""
_NOT_THERE: Final = frozenset({404, 410})
_BUSY: Final = frozenset({408, 425, 429})
_LEAST_SERVER_ERROR: Final = 500
_DEFINITE: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


class FsspecFiles(pa.fs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """A file system of fsspec, for `pyarrow.fs.PyFileSystem`.

    pyarrow's own handler first asks `isfile` or `isdir`, which are False for whatever fails, and fsspec's HTTP calls
    each failure a missing file.
    """

    def get_file_info(self, paths: Iterable[str]) -> list[Any]:
        """Return what is at paths.

        Raises:
            OSError: the service fails, which was tried several times.
        """
        return [patiently(partial(self._info, path)) for path in paths]

    def _info(self, path: str) -> Any:  # noqa: ANN401 - a `FileInfo`
        try:
            return self._create_file_info(path, self.fs.info(path))
        except FileNotFoundError as error:
            if _failure(error) is not error:
                raise
            return pa.fs.FileInfo(path, pa.fs.FileType.NotFound)

    def get_file_info_selector(self, selector: Any) -> list[Any]:  # noqa: ANN401 - a `pa.fs.FileSelector`
        """Return what is directly in a folder.

        Raises:
            As for `get_file_info`.
        """
        if selector.recursive:
            return list(super().get_file_info_selector(selector))
        folder = selector.base_dir
        try:
            found = patiently(partial(self.fs.ls, folder, detail=True))
        except FileNotFoundError:
            if selector.allow_not_found:
                return []
            raise
        others = (one for one in found if one["name"].strip("/") != folder.strip("/"))
        return [self._create_file_info(one["name"], one) for one in others]

    def open_input_file(self, path: str) -> Any:  # noqa: ANN401 - a `pa.PythonFile`
        """Open a file for reading at any place.

        Raises:
            FileNotFoundError: it does not exist.
            OSError: as for `get_file_info`.
        """
        return pa.PythonFile(_PatientFile(patiently(lambda: self.fs.open(path, mode="rb"))), mode="r")

    open_input_stream = open_input_file


class _PatientFile(io.RawIOBase):
    """A file that repeats a read that failed."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - a file of fsspec
        super().__init__()
        self._file = file
        self.seek = file.seek  # type: ignore[method-assign]
        self.tell = file.tell  # type: ignore[method-assign]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._file.seekable())

    def read(self, size: int = -1, /) -> bytes:
        def again() -> bytes:
            content: bytes = self._file.read(size)
            return content

        # One that is only a stream has lost its place.
        return patiently(again, once=not self.seekable())

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def patiently(ask: Callable[[], T], *, once: bool = False) -> T:
    """Return what a question to fsspec gives, asked again where the service failed.

    Raises:
        FileNotFoundError: the service says that there is no such file.
        OSError: it fails or refuses.
    """
    for pause in (*(() if once else _PAUSES), None):
        try:
            return ask()
        except Exception as error:  # each file system has exceptions of its own
            failure = _failure(error)
            if pause is None or not _may_pass(failure):
                raise _as_os_error(failure) from error
            time.sleep(pause)
    raise AssertionError("the last attempt returns or raises")


def _failure(error: Exception) -> BaseException:
    """Return the failure that an error tells of: of a file that is missing for no answer, what kept the answer."""
    cause = error.__cause__
    if not isinstance(error, FileNotFoundError) or cause is None or isinstance(cause, FileNotFoundError):
        return error
    known = _status(cause) is not None or isinstance(cause, OSError) or type(cause).__module__.startswith("aiohttp")
    return cause if known and _status(cause) not in _NOT_THERE else error


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status", getattr(error, "status_code", None))
    return status if isinstance(status, int) else None


def _may_pass(failure: BaseException) -> bool:
    """Tell whether it may be otherwise in a moment."""
    status = _status(failure)
    if status is not None:
        return status >= _LEAST_SERVER_ERROR or status in _BUSY
    if isinstance(failure, _DEFINITE):
        return False
    return isinstance(failure, OSError) or type(failure).__module__.startswith("aiohttp")


def _as_os_error(failure: BaseException) -> OSError:
    if _status(failure) in _NOT_THERE:
        return FileNotFoundError(first_line(failure))
    return failure if isinstance(failure, OSError) else OSError(first_line(failure))
