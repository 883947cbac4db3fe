"""From a shard to its pictures."""

from collections.abc import Iterator

from torchstone_runtime.errors import DataError
from torchstone_runtime.shards.file_error import file_error
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_pictures import read_files
from torchstone_runtime.shards.storage import StorageError, locate
from torchstone_runtime.text import showable


def read_shard(shard: Shard, options: ReadOptions) -> Iterator[ShardItem]:
    """Yield the pictures of a shard in their order, always the same; a few are held at a time.

    A picture that is missing or damaged is an item, too: only decoding it, or `ShardItem.load`, tells. So is the rest
    of an archive that is damaged: one item with an error.

    Raises:
        DataError: the file that holds the shard is not there, is damaged, or has no column of pictures.
        StorageError: the disk, the network or the service that it lies on fails.
        MissingComponentError: pyarrow or fsspec is needed and not installed.
    """
    try:
        yield from _reader(shard, options)
    except DataError:
        raise
    except OSError as error:
        name = shard.path or shard.names[0]
        found = file_error(*locate(name, shard.query), error)
        raise found if isinstance(found, StorageError) else DataError(f"{showable(name)}: {found.problem}") from error


def _reader(shard: Shard, options: ReadOptions) -> Iterator[ShardItem]:
    if shard.kind == "files":
        return read_files(shard)
    if shard.kind == "npz":
        from torchstone_runtime.shards.npz_reader import read_npz  # noqa: PLC0415 - only where there is one

        return read_npz(shard)
    if shard.kind == "tar":
        from torchstone_runtime.shards.tar_reader import read_tar  # noqa: PLC0415 - likewise

        return read_tar(shard, options)
    from torchstone_runtime.shards.parquet_reader import read_parquet  # noqa: PLC0415 - pyarrow, likewise

    return read_parquet(shard, options)
