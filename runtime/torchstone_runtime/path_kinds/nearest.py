"""A path at which nothing lies: what may have been meant."""

import difflib
import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from torchstone_runtime.text import shortlist

_ALIKE: Final = 0.6
_SHOWN: Final = 5


def meant(path: Path, suitable: Callable[[Path], bool], names: Iterable[str] = ()) -> str:
    """Return a sentence that says what may have been meant by a path at which nothing lies; empty if nobody can tell.

    Args:
        path: the path.
        suitable: whether a path that exists is of the wanted kind.
        names: names that are understood where nothing lies, such as those of built-in bundles.
    """
    for told, other in _variations(path):
        if other.exists():
            return f"{told}: {shlex.quote(str(other))}"
    known = list(names) if path.name == str(path) else []
    near = _near(path, suitable, known)
    if near:
        return f"Did you mean {shlex.quote(near)}?"
    missing = _first_missing(path)
    return f"{missing.parent} has no entry '{missing.name}'." if missing != path else ""


def listed(places: Iterable[Path], suitable: Callable[[Path], bool]) -> str:
    """Return the paths of the wanted kind in a few places, separated by commas; empty where there are none."""
    found: list[str] = []
    for place in places:
        if place.is_dir():
            found += sorted(str(place / name) for name in _entries(place) if suitable(place / name))
    return shortlist(found, _SHOWN)


def _variations(path: Path) -> Iterable[tuple[str, Path]]:
    text = str(path)
    if text != text.strip():
        yield "The name begins or ends with a space; without it there is", Path(text.strip())
    if text.startswith("~"):
        try:
            yield "~ stands for the home directory only where a shell replaces it", path.expanduser()
        except RuntimeError:  # no such user
            return
    if "\\" in text:
        yield "Backslashes are not separators here", Path(text.replace("\\", "/"))
    if text[:1] in "\"'" and text[-1:] == text[:1]:
        yield "The quotes are part of the name; without them there is", Path(text[1:-1])


def _near(path: Path, suitable: Callable[[Path], bool], known: list[str]) -> str | None:
    """Return the text of the nearest path, which differs in one component, or the nearest of the known names."""
    missing = _first_missing(path)
    rest = path.relative_to(missing)
    siblings = [name for name in _entries(missing.parent) if (missing.parent / name / rest).exists()]
    for names in ([name for name in siblings if suitable(missing.parent / name / rest)], siblings):
        by_lower = {name.lower(): str(missing.parent / name / rest) for name in names}
        choices = dict.fromkeys([*by_lower, *known])
        if close := difflib.get_close_matches(missing.name.lower(), choices, 1, _ALIKE):
            return by_lower.get(close[0], close[0])
    return None


def _first_missing(path: Path) -> Path:
    return next((place for place in (*reversed(path.parents), path) if not os.path.lexists(place)), path)


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - names
    except OSError:
        return []
