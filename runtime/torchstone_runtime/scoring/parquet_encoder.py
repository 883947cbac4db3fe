"""Parts as Parquet, with the same schema whatever the rows."""

from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from torchstone_runtime.scoring.job import OutputOptions

_ROWS_PER_GROUP: Final = 1 << 16
_BYTES_HELD: Final = 16 << 20
"""Of rows that wait to be a row group: thousands of probabilities each would be gigabytes otherwise."""


class ParquetEncoder:
    """Writes row groups of up to 65,536 rows.

    Args:
        file: file that is written to.
        output: options of the output.
        classes: K.
    """

    def __init__(self, file: IO[bytes], output: OutputOptions, classes: int) -> None:
        self._schema = part_schema(output, classes)
        self._writer = pq.ParquetWriter(file, self._schema)
        self._held: list[Any] = []
        self._rows = self._bytes = 0

    def add(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """See `encoders.Encoder`."""
        arrays = [pa.array(columns[field.name], field.type) for field in self._schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        self._held.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _ROWS_PER_GROUP or self._bytes >= _BYTES_HELD:
            self._flush()

    def close(self) -> None:
        """See `encoders.Encoder`."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_batches(self._held, self._schema), row_group_size=self._rows)
        self._held = []
        self._rows = self._bytes = 0


def part_schema(output: OutputOptions, classes: int) -> Any:  # noqa: ANN401 - a pyarrow.Schema; pyarrow has no types
    """Return the schema of a part: texts, float32, lists; all but `id` may be null."""
    fields = [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("class", pa.string()),
        pa.field("probability", pa.float32()),
    ]
    if output.top:
        fields.append(pa.field("top_classes", pa.list_(pa.string())))
        fields.append(pa.field("top_probabilities", pa.list_(pa.float32())))
    if output.probabilities:
        fields.append(pa.field("probabilities", pa.list_(pa.float32(), classes)))
    if output.coverage is not None:
        fields.append(pa.field("set", pa.list_(pa.string())))
    return pa.schema([*fields, pa.field("error", pa.string())])
