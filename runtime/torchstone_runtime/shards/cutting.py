"""Files of an input cut into shards."""

import os
from collections.abc import Iterable, Iterator
from itertools import count, groupby, islice

from torchstone_runtime.shards.find_inputs import FoundInput
from torchstone_runtime.shards.read_ahead import mapped_ahead
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.shard import Shard, fingerprint
from torchstone_runtime.shards.storage import is_address

_FOOTERS_AT_ONCE = 16


def cut_into_shards(found: Iterable[FoundInput], options: ReadOptions) -> Iterator[Shard]:
    """Yield the shards of an input in its order; the lengths of tables and arrays are read from their files.

    Picture files that follow each other make shards of up to `options.per_shard`, each of one folder that was given.

    Raises:
        DataError: a table or an array cannot be read, or has no pictures.
    """
    here = os.getcwd()  # noqa: PTH109 - a name, nothing is done with it
    numbers = count()
    for pictures, run in groupby(found, lambda item: item.kind == "picture"):
        if pictures:
            for files in _together(run, options.per_shard):
                yield _of_files(next(numbers), files, here)
        else:
            for item, parts in mapped_ahead(run, lambda item: _parts(item, options), _FOOTERS_AT_ONCE):
                yield from _of_container(numbers, item, parts, here)


def _together(pictures: Iterable[FoundInput], most: int) -> Iterator[list[FoundInput]]:
    """Yield up to so many pictures at a time that follow each other in one place."""
    for _, run in groupby(pictures, _place):
        while files := list(islice(run, most)):
            yield files


def _place(item: FoundInput) -> tuple[str, str, str]:
    host = "/".join(item.path.split("/", 3)[:3]) if "://" in item.path and is_address(item.path) else ""
    return item.root, item.query, host


def _of_files(number: int, found: list[FoundInput], here: str) -> Shard:
    facts = fingerprint(found[0].root, *(f"{item.size} {item.stamp} {item.path}" for item in found))
    return Shard(
        number=number,
        kind="files",
        path=found[0].root,
        names=tuple(item.path for item in found),
        rows=len(found),
        folder=here,
        query=found[0].query,
        fingerprint=facts,
    )


def _of_container(
    numbers: Iterator[int], item: FoundInput, parts: Iterable[tuple[int, int | None]], here: str
) -> Iterator[Shard]:
    for group, (first, rows) in enumerate(parts):
        yield Shard(
            number=next(numbers),
            kind=item.kind,  # type: ignore[arg-type]  # no picture comes here
            path=item.path,
            first=first,
            rows=rows,
            group=group,
            folder=here,
            query=item.query,
            fingerprint=fingerprint(item.kind, item.path, item.size, item.stamp, first, rows or 0, group),
        )


def _parts(item: FoundInput, options: ReadOptions) -> list[tuple[int, int | None]]:
    """Return the first picture and the number of pictures of each shard of a file."""
    if item.kind == "tar":
        return [(0, None)]
    if item.kind == "npz":
        from torchstone_runtime.shards.npz_reader import npz_length  # noqa: PLC0415 - only where there is one

        total = npz_length(item.path, item.query)
        size = options.per_shard
        return [(start, min(size, total - start)) for start in range(0, total, size)]
    from torchstone_runtime.shards.parquet_reader import row_groups  # noqa: PLC0415 - pyarrow, only where needed

    return row_groups(item.path, item.query, options)
