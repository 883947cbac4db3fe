"""The rows of a shard: its pictures, and errors in the place of those that were lost after the plan was made."""

from collections.abc import Iterator
from itertools import islice

from torchstone_runtime.errors import DataError
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.read_shard import read_shard
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_pictures import shown_id
from torchstone_runtime.shards.storage import StorageError


def shard_rows(shard: Shard, options: ReadOptions) -> Iterator[ShardItem]:
    """Yield the pictures of a shard as `read_shard` does, one item for each row of what is written.

    Where the file that holds the shard has vanished or is damaged, each picture of it that was planned is an item with
    an error, named by its place; one item stands for all of an archive, whose pictures nobody has counted. A file that
    was replaced by one with fewer pictures gives errors for the rest; of one with more, no more than planned are read.

    Raises:
        StorageError: the disk, the network or the service fails: that is no fault of the pictures, and passes.
        MissingComponentError: as for `read_shard`.
    """
    read = 0
    try:
        for item in islice(read_shard(shard, options), shard.rows):
            yield item
            read += 1
    except StorageError:
        raise
    except DataError as error:
        yield from _lost(shard, read, error.problem)
    else:
        if shard.rows is not None and read < shard.rows:
            yield from _lost(shard, read, "the file has fewer pictures than when the job was planned.")


def _lost(shard: Shard, read: int, reason: str) -> Iterator[ShardItem]:
    name = shown_id(shard.path)
    if shard.rows is None:
        yield ShardItem(f"{name}#damaged", None, error=reason)
        return
    for place in range(shard.first + read, shard.first + shard.rows):
        yield ShardItem(f"{name}#{place}", None, error=reason)
