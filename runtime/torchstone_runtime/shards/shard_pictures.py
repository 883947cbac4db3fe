"""The pictures of a shard of files, and what a folder's name says of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from torchstone_runtime.errors import ImageError
from torchstone_runtime.shards.file_error import file_error
from torchstone_runtime.shards.item import MAX_PICTURE_BYTES, ShardItem
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.storage import Storage, locate


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture file in a storage, see `PictureFile`."""

    storage: Storage
    path: str

    def read(self) -> bytes:
        """See `PictureFile`."""
        try:
            content = self.storage.read(self.path, MAX_PICTURE_BYTES)
        except OSError as error:
            raise file_error(self.storage, self.path, error) from error
        except ValueError as error:  # a zero byte in the name
            raise ImageError("the file does not exist.") from error
        if len(content) > MAX_PICTURE_BYTES:
            raise ImageError(f"the file has more than {MAX_PICTURE_BYTES >> 20} MiB.")
        return content


def read_files(shard: Shard) -> Iterator[ShardItem]:
    """Yield the pictures of a shard of files; none of them is opened yet."""
    storage, _ = locate(shard.names[0], shard.query)
    for name in shard.names:
        place = storage.path_of(name) if storage.remote else os.path.join(shard.folder, name)  # noqa: PTH118
        yield ShardItem(shown_id(name), StoredPicture(storage, place), folder_label(name, shard.path))


def shown_id(name: str) -> str:
    """Return a name as it may be written: bytes of a file name that are not UTF-8 become escapes."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()


def folder_label(name: str, root: str) -> str | None:
    """Return the first folder below a searched one, which may be the name of a class; None where there is none."""
    if not root:
        return None
    below = name.removeprefix(root).lstrip("/") if root != "." else name
    first, slash, _ = below.partition("/")
    return first if slash else None
