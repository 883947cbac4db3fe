"""What a command line names, found file by file: folders, files, patterns and lists, here or on another machine."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from torchstone_runtime.errors import DataError
from torchstone_runtime.images.image_formats import IMAGE_SUFFIXES, OtherFiles, is_picture
from torchstone_runtime.shards.path_pattern import each_once, matches
from torchstone_runtime.shards.sorted_entries import sorted_entries
from torchstone_runtime.shards.storage import Entry, Storage, locate, split_query, unreadable
from torchstone_runtime.text import showable

FoundKind = Literal["picture", "parquet", "tar", "npz"]
LIST_SIGN: Final = "@"
_CONTAINERS: Final[dict[str, FoundKind]] = {
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"), "tar"),
    ".npz": "npz",
}
_CONTAINER_ENDINGS: Final = tuple(_CONTAINERS)
_PICTURE_ENDINGS: Final = tuple(IMAGE_SUFFIXES)
_MAGIC: Final = re.compile(r"[*?\[]")
_RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")
_OWN_PART: Final = re.compile(r"part-\d{6,}-[0-9a-f]{16}\.parquet")
_REMEDY: Final = (
    "Give pictures, folders, patterns, Parquet files, tar archives, npz files, or @FILE with a list of them."
)


@dataclass(frozen=True, slots=True)
class FoundInput:
    """A file of the input.

    Attributes:
        kind: `picture`, or what holds pictures: `parquet`, `tar`, `npz`.
        path: path or address, as it was given or found.
        size: bytes; -1 where not known.
        stamp: time of change in nanoseconds; -1 where not known.
        root: folder that was given and searched, whose sub-folders may be classes; empty for a file that was named.
        query: parameters of the address, see `Shard.query`.
    """

    kind: FoundKind
    path: str
    size: int
    stamp: int
    root: str = ""
    query: str = ""


def find_inputs(arguments: Iterable[str], others: OtherFiles | None = None) -> Iterator[FoundInput]:
    """Yield the files that arguments name, each folder's in the order of their names, while they are found.

    Args:
        arguments: inputs, as in `plan_inputs`.
        others: record of the files in folders that are no input.

    Raises:
        As for `plan_inputs`.
    """
    others = OtherFiles() if others is None else others
    for argument in arguments:
        if argument.startswith(LIST_SIGN) and len(argument) > 1:
            for line in _lines(argument[1:]):
                yield from _from_argument(line, others, listed=True)
        else:
            yield from _from_argument(argument, others, listed=False)


def kind_of(path: str) -> FoundKind:
    """Return what a file is by the ending of its name: a picture, unless it is known to hold pictures."""
    name = path.rpartition("/")[2].lower()
    if not name.endswith(_CONTAINER_ENDINGS):  # a folder may have millions of these
        return "picture"
    return next(kind for ending, kind in _CONTAINERS.items() if name.endswith(ending))


def _from_argument(argument: str, others: OtherFiles, *, listed: bool) -> Iterator[FoundInput]:
    for one in _ranges(argument):
        plain, query = split_query(one)
        storage, path = locate(plain, query)
        path = path if storage.remote else str(Path(path))
        with _told(plain):
            search = _Search(storage, query, others)
            if listed and storage.remote and not path.endswith("/") and not _MAGIC.search(path):
                yield search.found(Entry(path, "file"))  # a million questions would take hours
                continue
            entry = storage.look_up(path)
            if entry.kind == "missing" and _MAGIC.search(path):
                yield from search.pattern(path, plain)
            elif entry.kind == "missing" and not listed:
                raise DataError(f"There is nothing at {showable(plain)}.", _REMEDY)
            elif entry.kind == "folder":
                yield from search.folder(path)
            else:
                yield search.found(entry)


class _Search:
    """A search in one storage."""

    def __init__(self, storage: Storage, query: str, others: OtherFiles) -> None:
        self._storage = storage
        self._query = query
        self._others = others

    def found(self, entry: Entry, root: str = "") -> FoundInput:
        address = self._storage.address(entry.path)
        shown = self._storage.address(root) if root else ""
        return FoundInput(kind_of(address), address, entry.size, entry.stamp, shown, self._query)

    def folder(self, path: str) -> Iterator[FoundInput]:
        yield from _some((self.found(entry, path) for entry in self._walk(path)), self._storage.address(path))

    def pattern(self, path: str, shown: str) -> Iterator[FoundInput]:
        parts = path.strip("/").split("/")
        matching = self._matching("/" if path.startswith("/") else "", parts)
        first = next(matching, None)
        if first is None:
            raise DataError(f"Nothing matches {showable(shown)}.", _REMEDY)
        found = (one for entry in each_once(chain([first], matching), parts) for one in self._within(entry, parts))
        yield from _some(found, shown)

    def _within(self, entry: Entry, parts: list[str]) -> Iterator[FoundInput]:
        """Yield a match, or what lies in it and has no turn of its own as another match."""
        if entry.kind != "folder":
            yield self.found(entry)
            return
        for inner in self._walk(entry.path, parts):
            yield self.found(inner, entry.path)

    def _walk(self, folder: str, left_out: list[str] | None = None) -> Iterator[Entry]:
        """Yield the inputs below a folder, but for what matches the parts of a pattern."""
        for entry in self._children(folder):
            if left_out is not None and matches(entry.path.strip("/").split("/"), left_out):
                continue
            if entry.kind == "folder":
                yield from self._walk(entry.path, left_out)
            elif self._is_input(entry):
                yield entry
            else:
                self._others.add(entry.name)

    def _is_input(self, entry: Entry) -> bool:
        if kind_of(entry.path) != "picture":
            return not (entry.name.startswith("_") or _OWN_PART.fullmatch(entry.name))
        if entry.path.lower().endswith(_PICTURE_ENDINGS):
            return True
        return not self._storage.remote and is_picture(entry.path)

    def _children(self, folder: str) -> Iterator[Entry]:
        visible = (entry for entry in self._storage.entries(folder or ".") if not entry.name.startswith("."))
        before = _join(folder, "")
        for entry in sorted_entries(visible):
            yield Entry(before + entry.name, entry.kind, entry.size, entry.stamp)

    def _matching(self, folder: str, parts: list[str]) -> Iterator[Entry]:
        part, rest = parts[0], parts[1:]
        if part == "**":
            yield from self._at_any_depth(folder, parts)
        elif not _MAGIC.search(part):
            path = _join(folder, part)
            if rest:
                yield from self._matching(path, rest)
            elif (entry := self._storage.look_up(path)).kind != "missing":
                yield entry
        else:
            for entry in self._children(folder):
                if fnmatchcase(entry.name, part):
                    yield from self._matching(entry.path, rest) if rest else [entry]

    def _at_any_depth(self, folder: str, parts: list[str]) -> Iterator[Entry]:
        rest = parts[1:]
        if rest:
            yield from self._matching(folder, rest)
        for entry in self._children(folder):
            if entry.kind == "folder":
                yield from self._matching(entry.path, parts)
            elif not rest and self._is_input(entry):
                yield entry


def _some(found: Iterator[FoundInput], shown: str) -> Iterator[FoundInput]:
    empty = True
    for one in found:
        empty = False
        yield one
    if empty:
        raise DataError(f"{showable(shown)} holds no pictures.", _REMEDY)


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}" if folder.strip("/.") or ".." in folder else f"{folder.rstrip('.')}{name}"


def _lines(path: str) -> Iterator[str]:
    storage, place = locate(*split_query(path))
    with _told(path), storage.open(place) as file:
        for number, line in enumerate(file):
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            if text := text.removeprefix("\ufeff") if number == 0 else text:
                yield text


def _ranges(argument: str) -> Iterator[str]:
    """Expand `{000..099}`, as names of archives are written for WebDataset."""
    found = _RANGE.search(argument)
    if found is None:
        yield argument
        return
    first, last = found[1], found[2]
    for number in range(int(first), int(last) + 1):
        yield from _ranges(f"{argument[: found.start()]}{number:0{len(first)}d}{argument[found.end() :]}")


@contextmanager
def _told(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable(address, error) from error
