"""The folder of a site, which appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import UsageError
from torchstone_runtime.files import current_umask, reported_as_output_error

_MODE: Final = 0o777
_MARK: Final = ("index.html", "model.json", "site.js")
"""Names by which an earlier site is known."""


def check_folder(target: Path, names: set[str]) -> None:
    """Refuse a folder that a site must not replace.

    Args:
        target: folder that the site will be.
        names: names of the site's files.

    Raises:
        UsageError: it holds files that are not part of a site, or is a file.
    """
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise UsageError(f"{target} is a file.", "Name a folder for the site.")
    present = {path.name for path in target.iterdir()}
    foreign = present - names if present.issuperset(_MARK) else present
    if foreign:
        raise UsageError(
            f"{target} holds files that are not part of a site: {', '.join(sorted(foreign)[:3])}.",
            "Choose another folder, or empty this one; nothing was changed.",
        )


def write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that takes the place of an earlier site, if there is one.

    Raises:
        UsageError: see `check_folder`.
        OutputError: it can't be written, or the disk is full; what was there is as it was.
    """
    check_folder(target, set(files))
    with reported_as_output_error(target):
        target = target.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".partial"))
        try:
            for name, content in files.items():
                _write(partial / name, content)
            partial.chmod(_MODE & ~current_umask())  # mkdtemp made it private
            _put_in_place(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(partial: Path, target: Path) -> None:
    if not target.exists():
        partial.rename(target)
        return
    earlier = partial.with_suffix(".previous")
    target.rename(earlier)
    try:
        partial.rename(target)
    except BaseException:
        earlier.rename(target)
        raise
    shutil.rmtree(earlier, ignore_errors=True)
