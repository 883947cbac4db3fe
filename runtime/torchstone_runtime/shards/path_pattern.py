"""Patterns of paths, part by part: `*`, `?` and `[...]` within a name, `**` for any number of folders."""

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase

from torchstone_runtime.shards.storage import Entry


def each_once(entries: Iterable[Entry], parts: Sequence[str]) -> Iterator[Entry]:
    """Yield each entry once: a pattern finds some in several ways where `**` stands in it twice."""
    if parts.count("**") < 2:  # noqa: PLR2004 - twice
        yield from entries
        return
    seen = set()
    for entry in entries:
        if entry.path not in seen:
            seen.add(entry.path)
            yield entry


def matches(names: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether the names along a path match the parts of a pattern, of which `**` stands for any folders."""
    if not parts:
        return not names
    if parts[0] == "**" and matches(names, parts[1:]):
        return True
    if not names:
        return False
    if parts[0] == "**":
        return matches(names[1:], parts)
    return fnmatchcase(names[0], parts[0]) and matches(names[1:], parts[1:])
