"""All labelled pictures of some archives and tables, each of which can be read by its number."""

import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Final

from torchstone_runtime.errors import DataError
from torchstone_runtime.shards.cutting import cut_into_shards
from torchstone_runtime.shards.find_inputs import FoundInput
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.read_shard import read_shard
from torchstone_runtime.shards.tar_index import index_tar
from torchstone_runtime.text import showable

_COPY: Final = -1


@dataclass(frozen=True, slots=True)
class IndexedPicture:
    """A picture file inside another file.

    Attributes:
        name: name that the order of the pictures follows from: the member's, the id's; empty for a row of a table that
            has no ids.
        id: the same with the file that holds it.
        label: right class: a number or a name.
        file: number of the file among those of the index; -1: the copy.
        offset: first byte of it there.
        size: number of bytes.
    """

    name: str
    id: str
    label: str | int
    file: int
    offset: int
    size: int


@dataclass(slots=True)
class PictureIndex:
    """The pictures of some files; those that lie in a file as they are stay there, of others a copy is kept.

    The copy is a temporary file without a name: it is gone with the process, whatever ends it.

    Attributes:
        files: the archives and tables.
        pictures: their pictures, in the order of the files and of what is in each.
    """

    files: Sequence[Path]
    pictures: list[IndexedPicture] = field(default_factory=list)
    _copy: IO[bytes] | None = None
    _lock: Lock = field(default_factory=Lock)

    def __del__(self) -> None:
        if self._copy is not None:
            self._copy.close()

    def read(self, picture: IndexedPicture) -> bytes:
        """Return the content of a picture file; it may be called from any thread.

        Raises:
            DataError: the file that holds it can't be read any more.
        """
        try:
            if picture.file != _COPY:
                with self.files[picture.file].open("rb") as file:
                    file.seek(picture.offset)
                    content = file.read(picture.size)
            else:
                content = self._read_copy(picture)
        except OSError as error:
            raise DataError(f"{showable(picture.id)} cannot be read: {error.strerror}.") from error
        if len(content) < picture.size:
            raise DataError(f"{showable(picture.id)} cannot be read: its file became shorter.", "Restore the file.")
        return content

    def keep(self, content: bytes) -> int:
        """Append a picture to the copy, and return its first byte there."""
        if self._copy is None:
            self._copy = tempfile.TemporaryFile(prefix="torchstone-pictures-")  # noqa: SIM115 - lives as long as the index
        offset = self._copy.seek(0, 2)
        self._copy.write(content)
        return offset

    def _read_copy(self, picture: IndexedPicture) -> bytes:
        if self._copy is None:
            raise ValueError("no picture was copied")
        with self._lock:
            self._copy.seek(picture.offset)
            return self._copy.read(picture.size)


def index_pictures(found: Sequence[FoundInput], options: ReadOptions) -> PictureIndex:
    """Find the pictures of archives and tables on this machine, and their labels.

    Of an archive that is not compressed the headers alone are read. Compressed archives and Parquet files are read
    once, from beginning to end.

    Args:
        found: the files, of kind `tar` or `parquet`.
        options: columns of a table, or the ending and the key of an archive, that hold picture, label and id.

    Raises:
        DataError: a file is damaged, or a picture has no label.
        MissingComponentError: a Parquet file, and pyarrow is not installed.
    """
    index = PictureIndex([Path(item.path) for item in found])
    for number, item in enumerate(found):
        try:
            if item.kind == "tar" and _add_members(index, number, options):
                continue
            _add_copies(index, item, options)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(
                f"{showable(item.path)} cannot be read: {reason}.", "Check the file and the disk."
            ) from error
    return index


def _add_members(index: PictureIndex, number: int, options: ReadOptions) -> bool:
    """Add the pictures of an archive by their places; tell whether that could be done: not where it is compressed."""
    path = index.files[number]
    try:
        for member in index_tar(path, options):
            shown = f"{path}#{member.name}"
            label = _required(member.label, shown)
            index.pictures.append(IndexedPicture(member.name, shown, label, number, member.offset, member.size))
    except tarfile.ReadError:
        return False
    return True


def _add_copies(index: PictureIndex, item: FoundInput, options: ReadOptions) -> None:
    for shard in cut_into_shards([item], options):
        for row in read_shard(shard, options):
            if row.error:
                raise DataError(f"{showable(row.id)} cannot be read: {row.error.rstrip('.')}.", "Restore the file.")
            content = row.load()
            if not isinstance(content, bytes):
                raise TypeError("archives and tables hold files")
            is_table, by_id = item.kind == "parquet", options.id_column is not None
            name = ("" if not by_id else row.id) if is_table else row.id.partition("#")[2]
            label = _required(row.label, row.id)
            index.pictures.append(IndexedPicture(name, row.id, label, _COPY, index.keep(content), len(content)))


def _required(label: str | int | None, shown: str) -> str | int:
    if label is None or isinstance(label, bool):
        raise DataError(
            f"{showable(shown)} has no label.",
            "Put .cls (a number or a name) beside each picture of an archive, or name the key of .json, or the column "
            "of a Parquet file: shards:PATTERN?label=NAME",
        )
    return label
