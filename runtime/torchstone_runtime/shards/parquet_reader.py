"""Row groups of Parquet files, with pictures as bytes or as Hugging Face's struct of bytes and path."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from torchstone_runtime.errors import DataError, first_line
from torchstone_runtime.shards.container_file import open_container, open_shard
from torchstone_runtime.shards.item import MAX_PICTURE_BYTES, ShardItem
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_pictures import shown_id
from torchstone_runtime.shards.watched_file import WatchedFile
from torchstone_runtime.text import shortlist, showable

_AT_ONCE: Final = 64
"""Rows that are read at once, with their pictures."""
_BUFFER: Final = 4 << 20
"""Bytes of a column that are read at once: a whole row group may be gigabytes."""
_USUAL: Final = ("image", "img", "picture", "jpg", "png", "jpg;png", "bytes", "content")
"""Names that a column of pictures often has, where several columns could be it."""


def row_groups(path: str, query: str, options: ReadOptions) -> list[tuple[int, int | None]]:
    """Return the first row and the number of rows of each row group; the columns are checked.

    Raises:
        DataError: no Parquet file, or a column is missing.
    """
    with _opened(path, open_container(path, query)) as table:
        _columns(path, table.schema_arrow, options)
        lengths = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
    return [(sum(lengths[:group]), length) for group, length in enumerate(lengths)]


def column_names(path: str) -> list[str]:
    """Return the names of the columns of a Parquet file.

    Raises:
        DataError: it is none.
    """
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def read_parquet(shard: Shard, options: ReadOptions) -> Iterator[ShardItem]:
    """Yield the pictures of a row group, a few rows at a time.

    Labels are names where the column holds texts, or where Hugging Face's metadata name the numbers.

    Raises:
        DataError: as for `row_groups`.
        OSError: the file cannot be read.
    """
    with _opened(shard.path, open_shard(shard)) as table:
        schema = table.schema_arrow
        image, wanted = _columns(shard.path, schema, options)
        names = _class_names(schema, options.label_column)
        place = shard.first
        for batch in table.iter_batches(_AT_ONCE, row_groups=[shard.group], columns=wanted, use_threads=False):
            yield from _items(shard, batch.to_pydict(), (image, place), options, names)
            place += batch.num_rows


@contextmanager
def _opened(path: str, file: IO[bytes]) -> Iterator[Any]:
    """Open a Parquet file for the block, in which what pyarrow says of damaged content becomes a DataError."""
    with file, WatchedFile(file) as watched:
        try:
            with pq.ParquetFile(watched, buffer_size=_BUFFER) as table:
                yield table
        except DataError:
            raise
        # pyarrow's OSErrors tell of cut and corrupt pages, too, and a UnicodeDecodeError of texts that are no UTF-8.
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and watched.failed:
                raise
            raise _damaged(path, error) from error


def _items(
    shard: Shard, rows: dict[str, list[Any]], at: tuple[str, int], options: ReadOptions, names: list[str] | None
) -> Iterator[ShardItem]:
    image, first = at
    labels = rows[options.label_column] if options.label_column else None
    ids = rows[options.id_column] if options.id_column else None
    for offset, value in enumerate(rows[image]):
        content = value.get("bytes") if isinstance(value, dict) else value
        shown = f"{shown_id(shard.path)}#{first + offset}" if ids is None else str(ids[offset])
        label = None if labels is None else _label(labels[offset], names)
        if isinstance(content, bytes) and len(content) <= MAX_PICTURE_BYTES:
            yield ShardItem(shown, content, label)
        else:
            yield ShardItem(shown, None, label, _why_not(content, value))


def _why_not(content: Any, value: Any) -> str:  # noqa: ANN401 - whatever the table holds
    if isinstance(content, bytes):
        return f"the picture has more than {MAX_PICTURE_BYTES >> 20} MiB."
    if isinstance(value, dict) and value.get("path"):
        return "the row holds the path of a picture, not its content."
    return "the row holds no picture."


def _label(value: Any, names: list[str] | None) -> str | int | None:  # noqa: ANN401 - likewise
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    if isinstance(value, int) and names is not None:
        return names[value] if 0 <= value < len(names) else None
    return value


def _columns(path: str, schema: Any, options: ReadOptions) -> tuple[str, list[str]]:  # noqa: ANN401 - pyarrow has no types
    """Return the column of pictures, and all that are read."""
    for given in (options.image_column, options.label_column, options.id_column):
        if given is not None and given not in schema.names:
            raise DataError(
                f"{showable(path)} has no column '{showable(given)}'.", f"Its columns: {shortlist(schema.names)}."
            )
    image = options.image_column or _image_column(path, schema)
    if not _holds_pictures(schema.field(image).type):
        raise DataError(
            f"{showable(path)}: the column '{showable(image)}' is {schema.field(image).type}, not pictures.",
            "Pictures are binary values, or structs {bytes, path} as Hugging Face's.",
        )
    return image, list(dict.fromkeys(filter(None, (image, options.label_column, options.id_column))))


def _image_column(path: str, schema: Any) -> str:  # noqa: ANN401 - likewise
    suitable = [field.name for field in schema if _holds_pictures(field.type)]
    usual = [name for name in _USUAL if name in suitable]
    if len(suitable) == 1 or usual:
        return str(usual[0] if usual else suitable[0])
    what = "several columns that could hold pictures" if suitable else "no column of pictures"
    raise DataError(
        f"{showable(path)} has {what}.",
        f"Name it with --image-column. Its columns: {shortlist(suitable or schema.names)}.",
    )


def _holds_pictures(kind: Any) -> bool:  # noqa: ANN401 - likewise
    if pa.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_pictures(kind.field(index).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _class_names(schema: Any, column: str | None) -> list[str] | None:  # noqa: ANN401 - likewise
    """Return the names of Hugging Face's ClassLabel, which its library keeps in the schema's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None


def _damaged(path: str, error: Exception) -> DataError:
    return DataError(
        f"{showable(path)} cannot be read as Parquet: {first_line(error).rstrip('.')}.", "Write the file again."
    )
