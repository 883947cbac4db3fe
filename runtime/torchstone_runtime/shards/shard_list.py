"""`ShardList`: the shards of an input, in a file: a million names take no memory."""

import gzip
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import IO, Self

from torchstone_runtime.images.image_formats import OtherFiles
from torchstone_runtime.shards.shard import Shard


class ShardList:
    """The shards of an input in their order, kept in a temporary file.

    It may be iterated over any number of times, one at a time. Close it, or use it as a context manager, to let go of
    the file. Make one with `plan_inputs`.

    Attributes:
        images: number of pictures; None where archives hold a number that is not known yet.
        sha256: SHA-256 (hex) over all shards: another input, or one cut otherwise, has another.
        others: the files of searched folders that are no input.
    """

    def __init__(self, shards: Iterable[Shard], others: OtherFiles | None = None) -> None:
        self.others = OtherFiles() if others is None else others
        self.images: int | None = 0
        self._length = 0
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        digest = hashlib.sha256()
        try:
            with gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1) as packed:
                for shard in shards:
                    packed.write(json.dumps(shard.to_json()).encode() + b"\n")
                    digest.update(f"{shard.name}\n".encode())
                    self._length += 1
                    known = self.images is not None and shard.rows is not None
                    self.images = (self.images or 0) + (shard.rows or 0) if known else None
        except BaseException:
            self._file.close()
            raise
        self.sha256 = digest.hexdigest()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Shard]:
        self._file.seek(0)
        with closing(gzip.GzipFile(fileobj=self._file, mode="rb")) as lines:
            for line in lines:
                yield Shard.from_json(json.loads(line))

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
