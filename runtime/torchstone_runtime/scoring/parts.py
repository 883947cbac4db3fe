"""Parts: what a shard's rows are written to, in one step, and how it is known that they were."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from torchstone_runtime.errors import DataError, OutputError, first_line
from torchstone_runtime.files import atomic_writer, output_error
from torchstone_runtime.scoring.encoders import SUFFIXES, Encoder, open_encoder
from torchstone_runtime.scoring.job import ScoringJob
from torchstone_runtime.scoring.rows import ScoredRows
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.storage import Storage, locate

TALLIES: Final = "_tallies"
"""Folder of the tallies; readers of Parquet folders leave out what begins with an underscore."""


class PartsFolder:
    """The folder, or address, that a job writes to.

    Args:
        job: the job.
    """

    def __init__(self, job: ScoringJob) -> None:
        self._output = job.output
        self._storage, self._root = locate(job.out)
        self._suffix = SUFFIXES[job.output.form]

    @property
    def storage(self) -> Storage:
        """The file system that it is in."""
        return self._storage

    def path(self, name: str) -> str:
        """Return the path of a file in it, within its storage."""
        return f"{self._root.rstrip('/')}/{name}"

    def address(self, name: str) -> str:
        """Return the path or address of a file in it, for people."""
        return self._storage.address(self.path(name))

    def done(self) -> set[str]:
        """Return the names of all parts that are there, without their endings."""
        with output_told(self.address("")):
            found = (entry.name for entry in self._storage.entries(self._root))
            return {
                name.removesuffix(self._suffix)
                for name in found
                if name.startswith("part-") and name.endswith(self._suffix)
            }

    def is_done(self, shard: Shard) -> bool:
        """Tell whether a shard's part is there; asks the file system each time."""
        with output_told(self.address("")):
            return self._storage.look_up(self.path(shard.name + self._suffix)).kind == "file"

    def is_complete(self, shards: int) -> bool:
        """Tell whether as many parts as there are shards are there; asks the file system each time."""
        return len(self.done()) >= shards

    def tally(self, name: str) -> Tally:
        """Return the tally of a part that is there.

        Raises:
            DataError: it is missing or not readable.
        """
        path = self.path(f"{TALLIES}/{name}.json")
        try:
            return Tally.from_json(json.loads(self._storage.read(path)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"The tally of a part, {self._storage.address(path)}, cannot be read: {first_line(error)}.",
                f"Remove the part {name}, and run the command again.",
            ) from error

    @contextmanager
    def new_part(self, shard: Shard, class_names: Sequence[str]) -> Iterator["PartWriter"]:
        """Open the part of a shard for the block; it appears when the block ends without an error, after its tally.

        Two processes that write the same part write the same; the later one's stays.

        Raises:
            OutputError: it cannot be written.
        """
        with output_told(self.address(shard.name + self._suffix)), self._file(shard) as file:
            encoder = open_encoder(file, self._output, class_names)
            part = PartWriter(encoder, self._output_columns)
            yield part
            encoder.close()
            tally = json.dumps(part.tally.to_json()).encode()
            self._storage.write(self.path(f"{TALLIES}/{shard.name}.json"), tally)

    def _output_columns(self, rows: ScoredRows) -> dict[str, list[Any]]:
        return rows.columns(self._output)

    @contextmanager
    def _file(self, shard: Shard) -> Iterator[IO[bytes]]:
        path = self.path(shard.name + self._suffix)
        if not self._storage.remote:
            try:
                with atomic_writer(Path(path)) as file:
                    yield file
            except OutputError:
                # A process that found all parts has taken this one's file for a leftover: the part is there.
                if self._storage.look_up(path).kind != "file":
                    raise
            return
        with tempfile.TemporaryFile() as file:
            yield file
            file.seek(0)
            self._storage.write(path, file.read())

    def remove_leftovers(self) -> None:
        """Remove what killed processes left half-written; to be called when all parts are there."""
        if self._storage.remote:
            return
        for entry in list(self._storage.entries(self._root)):
            if entry.name.startswith(".part-") and entry.name.endswith(".partial"):
                with suppress(OSError):
                    os.unlink(entry.path)  # noqa: PTH108 - names as given


class PartWriter:
    """A part that is being written.

    Attributes:
        tally: counts of the rows so far.
    """

    def __init__(self, encoder: Encoder, columns: Any) -> None:  # noqa: ANN401 - a method of PartsFolder
        self._encoder = encoder
        self._columns = columns
        self.tally = Tally()

    def add(self, rows: ScoredRows) -> None:
        """Append rows."""
        self._encoder.add(self._columns(rows))
        self.tally.add(Tally.of(rows))


@contextmanager
def output_told(address: str) -> Iterator[None]:
    """Turn an error of the file system inside the block into an `OutputError`."""
    try:
        yield
    except OSError as error:
        told = output_error(address, Path(address), error)
        raise OutputError(told.problem, f"{told.remedy.rstrip('.')}; then run the command again.") from error
