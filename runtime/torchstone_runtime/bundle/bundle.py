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

LFS_START: Final = b"version https://git-lfs.github.com/spec/"
"""First bytes of a pointer file: git-lfs, docs/spec.md."""
_NOT_RUN_HERE: Final = frozenset({"torchscript"})
"""TorchScript archives are code-like: the runtime checks their hash but never opens them."""
# Without O_NOFOLLOW a link could lead out of the bundle; O_NONBLOCK keeps a named pipe from hanging us. Windows has
# neither; there os.O_BINARY keeps line ends as they are.
_READ_ONLY: Final = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


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
        # A manifest that is there is read, whatever it is: a link, a pipe or damaged, it has a message of its own.
        if not os.path.lexists(folder / MANIFEST_FILE):
            raise no_bundle_error(folder)
        content = read_regular(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
        if len(content) > MAX_MANIFEST_BYTES:
            raise BundleError(
                f"{folder / MANIFEST_FILE} has more than {MAX_MANIFEST_BYTES >> 20} MiB, the most that is read.",
                "Export or copy the bundle again.",
            )
        if content.startswith(LFS_START):
            raise _pointer_error(folder / MANIFEST_FILE)
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
        if content.startswith(LFS_START):
            raise _pointer_error(path)
        if 0 < len(content) < entry.size:
            raise _altered(
                path,
                f"it has {len(content):,} bytes, the manifest states {entry.size:,}; its copy or download was perhaps "
                "interrupted",
            )
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
        handle = os.open(path, _READ_ONLY)
    except FileNotFoundError as error:
        raise BundleError(
            f"The bundle at {path.parent} is incomplete: it lacks {path.name}.",
            "Its copy or download was perhaps interrupted; copy it again whole, or export it again.",
        ) from error
    except OSError as error:
        reason = "a symbolic link" if path.is_symlink() else f"not readable ({error.strerror})"
        raise BundleError(f"{path} is {reason}.", "Export or copy the bundle again.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BundleError(f"{path} is not a regular file.", "Export or copy the bundle again.")
    with os.fdopen(handle, "rb") as file:
        # Reading allocates what it is asked for: a manifest that states an absurd size must not decide that.
        return file.read(min(max_bytes, os.fstat(handle).st_size) + 1)


def no_bundle_error(path: Path) -> BundleError:
    """Return the error for a path at which no bundle lies: what is there, and what to type."""
    from torchstone_runtime.path_kinds.wanted import not_a_bundle  # noqa: PLC0415 - only for a mistake

    return BundleError(*not_a_bundle(path, builtin_names()))


def _pointer_error(path: Path) -> BundleError:
    return BundleError(
        f"{path} is a Git LFS pointer: a line of text that stands for the file, which was not fetched.",
        "Fetch it, in the repository: git lfs pull",
    )


def _altered(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"{path} is not the file that was exported: {reason}.",
        "It was altered or damaged after the export; export or copy the bundle again.",
    )
