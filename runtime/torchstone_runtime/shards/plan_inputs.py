"""From what a command line names to shards: found, sorted, cut and counted, with none but a few of them in memory."""

from collections.abc import Iterator, Sequence

from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard import Shard


class ShardList:
    """The shards of an input in their order, kept in a temporary file: a million names take no memory.

    It may be iterated over any number of times, by one thread. Close it to let go of the file.

    Attributes:
        images: number of pictures; None where archives hold a number that is not known yet.
        sha256: SHA-256 (hex) over all shards: another input, or one cut otherwise, has another.
    """

    images: int | None
    sha256: str

    def __len__(self) -> int:
        raise NotImplementedError

    def __iter__(self) -> Iterator[Shard]:
        raise NotImplementedError

    def close(self) -> None:
        """Remove the temporary file."""


def plan_inputs(inputs: Sequence[str], options: ReadOptions) -> ShardList:
    """Find all pictures that arguments name, and cut them into shards.

    Args:
        inputs: folders, files and patterns (`*`, `?`, `[...]`, `**`, `{000..099}`), on this machine or as addresses
            (`s3://`, `gs://`, what fsspec speaks); `@FILE` for a file with one of these per line. Folders are searched
            for pictures, Parquet files, tar archives and npz files.
        options: how they are cut.

    Raises:
        DataError: nothing is found, or a file or a bucket cannot be read.
        MissingComponentError: pyarrow or fsspec is needed and not installed.
        UsageError: an argument that cannot be.
    """
    raise NotImplementedError
