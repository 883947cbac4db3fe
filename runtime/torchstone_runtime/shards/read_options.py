"""`ReadOptions`: how an input is cut and read."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from torchstone_runtime.errors import UsageError

FILES_PER_SHARD: Final = 1_000
"""Pictures in a shard of files or of an array: a second's work or so for large pictures, a tenth of it for small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How an input is cut into shards, and which columns are read.

    Attributes:
        per_shard: largest number of picture files, or of images of an array, in a shard.
        image_column: column of a Parquet file that holds the pictures, or ending of the pictures in a tar archive;
            found by its type if None.
        label_column: column, or key of a tar archive's `.json`, that holds the right class; None for none.
        id_column: column that holds the id of each row; the row's place if None.
    """

    per_shard: int = FILES_PER_SHARD
    image_column: str | None = None
    label_column: str | None = None
    id_column: str | None = None

    def __post_init__(self) -> None:
        """Refuse shards without pictures."""
        if self.per_shard < 1:
            raise UsageError(f"A shard holds at least 1 picture, not {self.per_shard}.")

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON data."""
        return asdict(self)
