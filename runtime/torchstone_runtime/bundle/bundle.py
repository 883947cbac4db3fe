"""Opening a bundle: nothing is used whose size and SHA-256 the manifest doesn't state."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.bundle.builtin import builtin_names, locate_bundle
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry, Manifest, parse_manifest
from torchstone_runtime.class_names import MAX_MANIFEST_BYTES
from torchstone_runtime.errors import BundleError, UsageError, suggestion

_NOT_RUN_HERE: Final = frozenset({"torchscript"})
"""TorchScript archives are code-like: the runtime checks their hash but never opens them."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose manifest has been read; its files are checked when they are read.

    Attributes:
        path: the directory.
        manifest: its `manifest.json`.
        manifest_sha256: SHA-256, hexadecimal, of the bytes that `manifest` was read from.
    """

    path: Path
    manifest: Manifest
    manifest_sha256: str

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Bundle":
        """Read the manifest of the bundle at `path`, a directory or the name of a built-in bundle (`locate_bundle`).

        Raises:
            BundleError: no such directory, no manifest, or a manifest that is not valid.
        """
        folder = locate_bundle(path)
        if not folder.is_dir():
            what = "is not a directory" if folder.exists() else "does not exist"
            raise BundleError(
                f"There is no bundle at {folder}: it {what}.",
                f"Give a directory that export wrote, or the name of a built-in bundle: {', '.join(builtin_names())}.",
            )
        content = read_regular(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
        if len(content) > MAX_MANIFEST_BYTES:
            raise BundleError(
                f"{folder / MANIFEST_FILE} has more than {MAX_MANIFEST_BYTES >> 20} MiB, the most that is read.",
                "Export or copy the bundle again.",
            )
        return cls(folder, parse_manifest(content), hashlib.sha256(content).hexdigest())

    def read(self, entry: FileEntry, *, check_hash: bool = True) -> bytes:
        """Return a file's bytes.

        Args:
            entry: the file's entry in the manifest.
            check_hash: whether the SHA-256 is checked; the size always is.

        Raises:
            BundleError: it is missing, a link, no regular file, or its size or SHA-256 is not the stated one.
        """
        path = self.path / entry.name
        content = read_regular(path, entry.size)
        if len(content) != entry.size:
            raise _altered(path, f"it has {len(content):,} bytes, the manifest states {entry.size:,}")
        if not check_hash:
            return content
        found = hashlib.sha256(content).hexdigest()
        if found != entry.sha256:
            raise _altered(path, f"its SHA-256 is {found[:16]}…, the manifest states {entry.sha256[:16]}…")
        return content

    def read_file(self, purpose: str, *, check_hash: bool = True) -> bytes:
        """Return the bytes of `golden`, `certificate`, `model_card` or `validation`; errors as for `read`."""
        entry = self.manifest.files.get(purpose)
        if entry is None:
            raise BundleError(f"The bundle at {self.path} has no {purpose} file.", "Export it again.")
        return self.read(entry, check_hash=check_hash)

    def check_files(self) -> list[FileEntry]:
        """Check every file that the manifest lists and return their entries; errors as for `read`."""
        entries = [*self.manifest.variants.values(), *self.manifest.files.values()]
        for entry in entries:
            self.read(entry)
        return entries

    def runnable_variants(self) -> list[str]:
        """Return the names of the variants that the runtime runs: all but those that need PyTorch."""
        return [variant for variant in self.manifest.variants if variant not in _NOT_RUN_HERE]

    def runnable_variant(self, wanted: str | None) -> str:
        """Return the variant to run: `wanted`, or the default one.

        Raises:
            UsageError: the bundle has no such variant, or it needs PyTorch.
        """
        name = wanted or self.manifest.default_variant
        runnable = self.runnable_variants()
        if name in _NOT_RUN_HERE:
            raise UsageError(f"The runtime does not run the variant '{name}'.", f"It runs: {', '.join(runnable)}.")
        if name not in runnable:
            raise UsageError(f"The bundle has no variant '{name}'.", suggestion(name, runnable))
        return name


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file of a bundle, at most one more than `max_bytes`; links are not followed.

    Raises:
        BundleError: it is missing, a link, no regular file, or not readable.
    """
    try:
        # Without O_NOFOLLOW a link could lead out of the bundle; O_NONBLOCK keeps a named pipe from hanging us.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise BundleError(f"The bundle lacks {path.name} (in {path.parent}).", "Export or copy it again.") from error
    except OSError as error:
        reason = "a symbolic link" if path.is_symlink() else f"not readable ({error.strerror})"
        raise BundleError(f"{path} is {reason}.", "Export or copy the bundle again.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BundleError(f"{path} is not a regular file.", "Export or copy the bundle again.")
    with os.fdopen(handle, "rb") as file:
        # Reading allocates what it is asked for: a manifest that states an absurd size must not decide that.
        return file.read(min(max_bytes, os.fstat(handle).st_size) + 1)


def _altered(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"{path} is not the file that was exported: {reason}.",
        "It was altered or damaged after the export; export or copy the bundle again.",
    )
