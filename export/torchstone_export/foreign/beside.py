"""Files beside a model: found as it names them, links followed within its directory, and nothing outside opened."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

from torchstone_runtime.errors import DataError
from torchstone_runtime.text import showable

# Windows has neither of the first two; there O_BINARY keeps line ends as they are.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def directories_of(path: Path) -> list[Path]:
    """Return where the files beside a model lie, without links in between.

    Args:
        path: path of the model, which exists; where it is a link, both places count, that of the file itself first.
    """
    return list(dict.fromkeys([path.resolve().parent, path.parent.resolve()]))


def open_beside(location: str, folders: Sequence[Path]) -> BinaryIO:
    """Open a plain file for reading in the first of some directories that has it.

    Args:
        location: relative path as the model states it, such as `x`, `./x` or `sub/../x`.
        folders: directories as `directories_of` gives them. A link is followed where it leads to a file in one of them
            or below, as those of a download cache do.

    Raises:
        DataError: the place is outside of them, or no plain file is there.
    """
    relative = _relative(location)
    for folder in folders:
        path = folder / relative
        if os.path.lexists(path):
            return _open_regular(path, _target(path, folders))
    places = " nor in ".join(str(folder) for folder in folders)
    raise DataError(
        f"The ONNX file keeps its weights in {showable(str(relative))}, which is not beside it: "
        f"{'neither ' * (len(folders) > 1)}in {places}.",
        "Copy both files.",
    )


def _relative(location: str) -> Path:
    # By the letter alone: nothing on the disk decides, so that a link called `sub` leads nowhere else.
    parts: list[str] = []
    text = location.replace("\\", "/")  # as some exporters on Windows write it
    for part in text.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in (".", ""):
            parts.append(part)
    odd = not parts or ".." in parts or "\0" in text or re.match(r"/|[A-Za-z]:|.*/\.{0,2}$", text)
    if odd:
        raise DataError(
            f"The ONNX file keeps weights in {location!r}; only a file in its own directory or below is read.",
            "Save it with its weights inside (onnx.save with save_as_external_data=False), or beside it.",
        )
    return Path(*parts)


def _target(path: Path, folders: Sequence[Path]) -> Path:
    target = Path(os.path.realpath(path))
    if not any(target.is_relative_to(folder) for folder in folders):
        raise DataError(
            f"{path}, which holds weights of the ONNX file, is a link to {target}, outside the model's directory. "
            "Such links are not followed, since one may lead to any file of this machine.",
            f"Put the file itself there, such as with: cp -L {path.name} copy && mv copy {path.name}",
        )
    if target != path and not target.exists():
        raise DataError(f"{path}, which holds weights of the ONNX file, is a link to nothing.", "Copy the file itself.")
    return target


def _open_regular(path: Path, target: Path) -> BinaryIO:
    try:
        handle = os.open(target, _FLAGS)
    except OSError as error:
        raise DataError(f"{path}, which holds weights of the ONNX file, cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError(f"{path} is not a regular file.", "Put the file itself there.")
    return os.fdopen(handle, "rb")
