"""A bundle's directory appears whole or not at all, and replaces nothing but a bundle."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE
from torchstone_runtime.bundle.signature import SIGNATURE_FILE
from torchstone_runtime.directories import replaced_directory
from torchstone_runtime.errors import BundleError, UsageError


def check_target(target: Path) -> None:
    """Refuse a target that a bundle must not replace.

    Raises:
        UsageError: there are files that no export wrote, or it is not a directory.
    """
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file.", "Name a directory for the bundle.")
    foreign = {path.name for path in target.iterdir()} if target.is_dir() else set()
    if foreign and (target / MANIFEST_FILE).is_file():
        foreign -= _files_of_bundle(target)
    if foreign:
        raise UsageError(
            f"{target} holds files that are not part of a bundle: {', '.join(sorted(foreign)[:3])}.",
            "Choose another directory, or empty this one; nothing was changed.",
        )


def _files_of_bundle(target: Path) -> set[str]:
    try:
        manifest = Bundle.open(target).manifest
    except BundleError:
        return set()
    listed = (entry.name for entry in (*manifest.variants.values(), *manifest.files.values()))
    return {MANIFEST_FILE, SIGNATURE_FILE, *listed}


@contextmanager
def published_directory(target: Path) -> Iterator[Path]:
    """Hand out an empty directory beside `target` that takes its place when the block ends without an error.

    Raises:
        OutputError: see `replaced_directory`.
        UsageError: see `check_target`.
    """
    check_target(Path(os.path.realpath(target)))  # what a link leads to is replaced, not the link
    with replaced_directory(target) as partial:
        yield partial
