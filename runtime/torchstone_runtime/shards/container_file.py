"""The file that holds a shard, opened."""

import os
from typing import IO

from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.storage import locate


def open_container(path: str, query: str = "", folder: str = "") -> IO[bytes]:
    """Open a file of the input for reading at any place.

    Args:
        path: path or address.
        query: parameters of the address.
        folder: absolute path that a relative path starts from; the working directory if empty.

    Raises:
        OSError: it cannot be opened.
    """
    storage, place = locate(path, query)
    return storage.open(place if storage.remote else os.path.join(folder, place))  # noqa: PTH118 - names as given


def open_shard(shard: Shard) -> IO[bytes]:
    """Open the file of a shard; raises as `open_container` does."""
    return open_container(shard.path, shard.query, shard.folder)
