"""From what a command line names to shards: found, sorted, cut and counted, with none but a few of them in memory."""

from collections.abc import Sequence

from torchstone_runtime.errors import DataError
from torchstone_runtime.images.image_formats import OtherFiles
from torchstone_runtime.shards.cutting import cut_into_shards
from torchstone_runtime.shards.find_inputs import find_inputs
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard_list import ShardList


def plan_inputs(inputs: Sequence[str], options: ReadOptions) -> ShardList:
    """Find all pictures that arguments name, and cut them into shards.

    Args:
        inputs: folders, files and patterns (`*`, `?`, `[...]`, `**`, `{000..099}`), on this machine or as addresses
            (`s3://`, `gs://`, what fsspec speaks); `@FILE` for a file with one of these per line. Folders are searched
            for pictures, Parquet files, tar archives and npz files.
        options: options of cutting and reading.

    Raises:
        DataError: nothing is found, or a file or a bucket cannot be read.
        MissingComponentError: pyarrow or fsspec is needed and not installed.
        UsageError: an argument that cannot be.
    """
    others = OtherFiles()
    shards = ShardList(cut_into_shards(find_inputs(inputs, others), options), others)
    if not len(shards):
        shards.close()
        raise DataError("The inputs hold no pictures.", "Give pictures, or files and folders that hold some.")
    return shards
