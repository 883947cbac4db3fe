"""The entries of a folder by name, sorted through temporary files where there are too many to hold."""

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO, Final

from torchstone_runtime.shards.storage import Entry

AT_ONCE: Final = 50_000
"""Entries that are sorted in memory: some 15 MB."""


def sorted_entries(entries: Iterable[Entry], at_once: int = AT_ONCE) -> Iterator[Entry]:
    """Yield entries in the order of their names, by code point, holding `at_once` of them at most."""
    remaining = iter(entries)
    first = _sorted(islice(remaining, at_once))
    if len(first) < at_once:
        yield from first
        return
    with ExitStack() as files:
        runs: list[Iterable[Entry]] = [first]
        while following := _sorted(islice(remaining, at_once)):
            runs.append(_spill(following, files))
        runs[0] = _spill(first, files)
        del first
        yield from heapq.merge(*runs, key=_by_name)


def _sorted(entries: Iterable[Entry]) -> list[Entry]:
    return sorted(entries, key=_by_name)


def _by_name(entry: Entry) -> str:
    return entry.name


def _spill(entries: list[Entry], files: ExitStack) -> Iterator[Entry]:
    file = files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - the stack closes it
    for entry in entries:
        file.write(json.dumps([entry.path, entry.kind, entry.size, entry.stamp]).encode() + b"\n")
    file.seek(0)
    return _read_back(file)


def _read_back(file: IO[bytes]) -> Iterator[Entry]:
    for line in file:
        path, kind, size, stamp = json.loads(line)
        yield Entry(path, kind, size, stamp)
