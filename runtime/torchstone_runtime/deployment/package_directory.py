"""Packages on disk: whole or not at all, and in the place of nothing but an earlier package."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.deployment.packaged_model import PackagedModel
from torchstone_runtime.directories import replaced_directory
from torchstone_runtime.errors import UsageError
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.text import shortlist, showable
from torchstone_runtime.version import __version__

RECORD: Final = "torchstone-package.json"
_MAX_RECORD_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Package:
    """Files for another system.

    Attributes:
        kind: system that they are for, such as `triton`.
        model: model that they hold.
        files: contents by path, with `/` between folders.
    """

    kind: str
    model: PackagedModel
    files: Mapping[str, bytes]

    def record(self) -> dict[str, Any]:
        """Return what `torchstone-package.json` says: from which bundle the package was made, and every file's hash."""
        bundle = self.model.bundle
        return {
            "format": "torchstone-package",
            "for": self.kind,
            "torchstone": __version__,
            "name": self.model.name,
            "bundle": {"name": bundle.manifest.name, "manifest_sha256": bundle.manifest_sha256},
            "variant": self.model.variant,
            "model_sha256": bundle.manifest.variants[self.model.variant].sha256,
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(self.files.items())},
        }


def write_package(package: Package, target: Path, *, overwrite: bool) -> None:
    """Write a package and its record to `target`, in one step as seen by a reader.

    Args:
        package: the package.
        target: directory to write; it may be empty.
        overwrite: whether an earlier package there is replaced.

    Raises:
        OutputError: it can't be written.
        UsageError: there is something else, or an earlier package without `overwrite`.
    """
    check_package_target(target, overwrite=overwrite)
    with replaced_directory(target) as folder:
        record = strict_json(package.record(), indent=2) + "\n"
        for name, content in {**package.files, RECORD: record.encode()}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def check_package_target(target: Path, *, overwrite: bool) -> None:
    """Refuse a target that a package must not replace.

    Raises:
        UsageError: see `write_package`.
    """
    place = Path(os.path.realpath(target))
    if place.exists() and not place.is_dir():
        raise UsageError(f"{target} is a file.", "Name a directory.")
    found = {path.relative_to(place).as_posix() for path in place.rglob("*") if not _is_folder(path)}
    foreign = found - _recorded(place)
    if foreign:
        raise UsageError(
            f"{target} holds files that are not part of a package: {showable(shortlist(sorted(foreign), 3))}.",
            "Choose another directory, or empty this one; nothing was changed.",
        )
    if found and not overwrite:
        raise UsageError(f"There is a package at {target}.", "Replace it with --overwrite, or name another directory.")


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _recorded(place: Path) -> set[str]:
    path = place / RECORD
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_RECORD_BYTES:
            return set()
        data = json.loads(path.read_bytes())
        return {RECORD, *map(str, data["files"])} if data["format"] == "torchstone-package" else set()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
