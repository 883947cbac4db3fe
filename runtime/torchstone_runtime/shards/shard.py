"""`Shard`: the unit of work, small enough to be sent to any worker, and named so that its output names it."""

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Self

ShardKind = Literal["files", "parquet", "tar", "npz"]
FINGERPRINT_DIGITS: Final = 16
"""64 bits: among a million shards two are alike with a probability of 3e-8, and the number tells them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A part of the input that is read, scored and written as one. It holds names alone, no pictures.

    Attributes:
        number: place among the shards of the input, from 0.
        kind: `files` (picture files, one by one), `parquet` (a row group), `tar` (a whole archive) or `npz` (a slice
            of an array).
        path: file that holds the shard, as it was given or found: a path or an address such as `s3://bucket/key`; of
            `files`, the folder whose sub-folders may be classes, or empty.
        names: picture files of `files`, in the order of their rows; empty otherwise.
        first: place of the first picture in the file, from 0.
        rows: number of pictures; None where it is known only when the shard has been read (`tar`).
        group: row group of the Parquet file.
        folder: absolute path that relative paths on this machine start from; empty for addresses.
        query: parameters of the file system's address, without the question mark, such as
            `endpoint_override=localhost:9000`; they are part of no name.
        fingerprint: hexadecimal digits that differ where names, sizes or times of change of the input differ.
    """

    number: int
    kind: ShardKind
    path: str
    names: tuple[str, ...] = ()
    first: int = 0
    rows: int | None = None
    group: int = 0
    folder: str = ""
    query: str = ""
    fingerprint: str = ""

    @property
    def name(self) -> str:
        """Name of what is written for the shard, without an ending: `part-000012-` and the fingerprint."""
        return f"part-{self.number:06d}-{self.fingerprint}"

    def to_json(self) -> dict[str, Any]:
        """Return the shard as JSON data, from which `from_json` makes it again."""
        # Not `asdict`, which copies each of thousands of names.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Return the shard that `to_json` was called on."""
        return cls(**{**data, "names": tuple(data["names"])})


def fingerprint(*facts: str | int) -> str:
    """Return hexadecimal digits of the SHA-256 of facts about a shard, in their order."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:FINGERPRINT_DIGITS]
