"""File systems of other machines, as pyarrow or fsspec speaks to them."""

from collections.abc import Iterator
from secrets import token_hex
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.fs

from torchstone_runtime.components import require_component
from torchstone_runtime.errors import MissingComponentError, UsageError, first_line
from torchstone_runtime.shards.fsspec_files import FsspecFiles
from torchstone_runtime.shards.storage import Entry

_NATIVE: Final = frozenset({"s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss"})
"""Schemes that pyarrow speaks by itself (its documentation, "Filesystem Interface"); all others are fsspec's."""
_WHOLE_OBJECTS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Stores of objects, where what is written appears as a whole; elsewhere it is renamed."""

_IN_BUCKETS: Final = frozenset({"s3", "gs", "gcs"})
"""Schemes whose paths begin with a bucket, and which tell of a missing one only that the object is missing."""


class ArrowStorage:
    """A `Storage` on a file system of pyarrow.

    Args:
        file_system: a `pyarrow.fs.FileSystem`.
        scheme: scheme of its addresses, without the colon.
        host: first part of an address, up to its slash, where the paths have another one or none; else empty.
        root: beginning of its paths: empty, or the bucket of `gs://anonymous@bucket`.
    """

    remote = True

    def __init__(self, file_system: Any, scheme: str, host: str = "", root: str = "") -> None:  # noqa: ANN401 - pyarrow
        self._files = file_system
        self._scheme = scheme
        self._host = host
        self._root = root
        self._buckets: set[str] = set()

    def address(self, path: str) -> str:
        """See `Storage`."""
        if "://" in path:  # fsspec's paths of HTTP are whole addresses
            return path
        if not self._host:
            return f"{self._scheme}://{path}"
        below = path.removeprefix(self._root).lstrip("/")
        return f"{self._scheme}://{self._host}/{below}"

    def path_of(self, address: str) -> str:
        """Return the path that an address without parameters stands for."""
        if self._scheme in ("http", "https"):
            return address
        path = address.partition("://")[2]
        return f"{self._root}/{path.partition('/')[2]}" if self._host else path

    def look_up(self, path: str) -> Entry:
        """See `Storage`."""
        return _entry(self._files.get_file_info(path))

    def has_bucket_of(self, path: str) -> bool:
        """See `Storage`; asked once for each bucket that there is."""
        bucket = path.partition("/")[0]
        if self._scheme not in _IN_BUCKETS or bucket in self._buckets:
            return True
        if self.look_up(bucket).kind == "missing":
            return False
        self._buckets.add(bucket)
        return True

    def entries(self, folder: str) -> Iterator[Entry]:
        """See `Storage`."""
        selector = pa.fs.FileSelector(folder.rstrip("/") or folder, allow_not_found=True, recursive=False)
        yield from (entry for entry in map(_entry, self._files.get_file_info(selector)) if entry.kind != "missing")

    def open(self, path: str) -> IO[bytes]:
        """See `Storage`."""
        file: IO[bytes] = self._files.open_input_file(path)
        return file

    def read(self, path: str, limit: int | None = None) -> bytes:
        """See `Storage`."""
        with self._files.open_input_file(path) as file:
            content: bytes = file.read() if limit is None else file.read(limit + 1)
            return content

    def write(self, path: str, content: bytes) -> None:
        """See `Storage`."""
        if self._scheme in _WHOLE_OBJECTS:
            self._put(path, content)
            return
        folder, _, name = path.rpartition("/")
        self._files.create_dir(folder, recursive=True)
        partial = f"{folder}/.{name}.{token_hex(4)}.partial"
        self._put(partial, content)
        self._files.move(partial, path)

    def create(self, path: str, content: bytes) -> bool:
        """See `Storage`; two that create at the same moment both succeed, and the later one's content stays."""
        if self.look_up(path).kind != "missing":
            return False
        self.write(path, content)
        return True

    def remove(self, path: str) -> None:
        """See `Storage`."""
        if self.look_up(path).kind == "file":
            self._files.delete_file(path)

    def _put(self, path: str, content: bytes) -> None:
        with self._files.open_output_stream(path) as file:
            file.write(content)


def open_arrow_storage(scheme: str, host: str, query: str) -> ArrowStorage:
    """Return the file system that addresses of a scheme, a host or bucket, and parameters lie in.

    Raises:
        MissingComponentError: fsspec, or what it needs for the scheme, is not installed.
        UsageError: nobody knows the scheme, or what stands behind the question mark.
        OSError: it does not answer.
    """
    if scheme in _NATIVE:
        try:
            files, root = pa.fs.FileSystem.from_uri(f"{scheme}://{host}/{'?' if query else ''}{query}")
        except (ValueError, NotImplementedError) as error:
            raise UsageError(
                f"{scheme}://{host} is not an address that pyarrow accepts: {first_line(error)}."
            ) from error
        root = root.rstrip("/")
        return ArrowStorage(files, scheme, *(() if root == host else (host, root)))
    require_component("scale", "fsspec")
    import fsspec  # noqa: PLC0415 - for what pyarrow does not speak

    try:
        found, root = fsspec.core.url_to_fs(f"{scheme}://{host}/")
    except ImportError as error:
        raise MissingComponentError(f"{scheme}:// needs another package: {first_line(error)}.") from error
    except ValueError as error:
        raise UsageError(f"Nothing reads addresses of {scheme}://: {first_line(error)}.") from error
    # Paths of some file systems have the host as their first part, of others it is known to the connection.
    inside = host and host in root.split("/")
    return ArrowStorage(pa.fs.PyFileSystem(FsspecFiles(found)), scheme, "" if inside or not host else host)


def _entry(info: Any) -> Entry:  # noqa: ANN401 - pyarrow has no types
    if info.type == pa.fs.FileType.NotFound:
        return Entry(info.path, "missing")
    if info.type == pa.fs.FileType.Directory:
        return Entry(info.path, "folder")
    size = info.size if info.size is not None else -1
    return Entry(info.path, "file", size, info.mtime_ns if info.mtime_ns is not None else -1)
