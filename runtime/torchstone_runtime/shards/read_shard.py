"""From a shard to its pictures."""

from collections.abc import Iterator

from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard import Shard


def read_shard(shard: Shard, options: ReadOptions) -> Iterator[ShardItem]:
    """Yield the pictures of a shard in their order, always the same; a few are held at a time.

    A picture that is missing or damaged is an item, too: only decoding it, or `ShardItem.load`, tells.

    Raises:
        DataError: the file that holds the shard cannot be read, or has no column of pictures.
        MissingComponentError: pyarrow or fsspec is needed and not installed.
    """
    raise NotImplementedError
