r"""Files called `cat\1.png`: what is left of folders where an archive made on Windows was unpacked elsewhere.

Some programs write paths into zip files with backslashes, which other systems take for a part of the name. All files
then lie in one folder, and their names say in which folders they were. The names are only read: what is opened is
always the file of that whole name in the one folder.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import DataError
from torchstone_runtime.text import showable

SEPARATOR: Final = "\\"
_FOREIGN: Final = "__MACOSX"
_DRIVE: Final = re.compile(r"[A-Za-z]:")


def flat_tree(tree: Path) -> tuple[Path, str]:
    r"""Return the folder that a tree's files lie in, and what their names begin with: nothing, or `train\`."""
    return (tree.parent, tree.name) if tree.name.endswith(SEPARATOR) else (tree, "")


def inner_tree(tree: Path, name: str) -> Path:
    r"""Return the tree below a name: of `train\cat\1.png` the one of `train`."""
    folder, prefix = flat_tree(tree)
    return folder / f"{prefix}{name}{SEPARATOR}"


def flat_files(tree: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield for each file of a tree, sorted, the folders and name that its name stands for, and the name itself.

    Hidden ones are left out, as are the empty files that folders became.

    Raises:
        DataError: a name leads up, to a drive or to a server.
    """
    folder, prefix = flat_tree(tree)
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if SEPARATOR in entry.name and entry.name.startswith(prefix) and not entry.is_dir(follow_symlinks=False)
        )
    for name in names:
        if name.endswith(SEPARATOR):
            continue
        parts = tuple(name.split(SEPARATOR))
        if any(part in ("", ".", "..") or _DRIVE.match(part) for part in parts):
            raise DataError(
                f"{folder} has a file called {showable(name)}: a path that leads out of the folder.",
                "Remove it, or unpack the archive with a program that knows paths of Windows.",
            )
        if not any(part.startswith(".") or part == _FOREIGN for part in parts):
            yield tuple(name.removeprefix(prefix).split(SEPARATOR)), name


def is_flat(tree: Path, folders: list[str]) -> bool:
    r"""Return whether the folders of a tree are in its files' names, given its real sub-folders.

    Raises:
        DataError: some are, others are real.
    """
    if tree.name.endswith(SEPARATOR):
        return True
    first = next((name for parts, name in flat_files(tree) if len(parts) > 1), None)
    if first and folders:
        raise DataError(
            f"{tree} has folders and also files called like {showable(first)}, from an archive made on Windows.",
            "Unpack the archive again, into a folder of its own.",
        )
    return first is not None


def flat_folders(tree: Path) -> list[str]:
    """Return the names of a tree's first folders, sorted."""
    return sorted({parts[0] for parts, _ in flat_files(tree) if len(parts) > 1})
