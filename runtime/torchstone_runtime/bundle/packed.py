"""A bundle as one piece, to be sent to other machines: a zip archive, not compressed, of what inference needs."""

import io
import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from torchstone_runtime.bundle.bundle import Bundle, read_regular
from torchstone_runtime.bundle.manifest import MANIFEST_FILE, FileEntry
from torchstone_runtime.class_names import MAX_MANIFEST_BYTES
from torchstone_runtime.errors import BundleError

_BESIDE_THE_MODEL: Final = ("golden", "validation")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}")
_MOST_FILES: Final = 1000


def pack_bundle(bundle: Bundle, variant: str | None = None) -> bytes:
    """Return a bundle's manifest, models, golden samples and validation statistics as one archive.

    What inference never opens (TorchScript, certificate, model card) is left out, and so is a signature, which would
    cover it: check that before. The same bundle gives the same bytes.

    Args:
        bundle: bundle, whose files are checked as they are read.
        variant: name of the only model that is wanted; all that the runtime runs if None.

    Raises:
        BundleError: a file is missing, altered or not readable.
        UsageError: the bundle has no such variant, or it needs PyTorch.
    """
    contents = {MANIFEST_FILE: read_regular(bundle.path / MANIFEST_FILE, MAX_MANIFEST_BYTES)}
    contents |= {entry.name: bundle.read(entry) for entry in _entries(bundle, variant)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980, so that the bytes are always the same
    return buffer.getvalue()


def _entries(bundle: Bundle, variant: str | None) -> list[FileEntry]:
    manifest = bundle.manifest
    wanted = bundle.runnable_variants() if variant is None else [bundle.runnable_variant(variant)]
    files = [manifest.files[purpose] for purpose in _BESIDE_THE_MODEL if purpose in manifest.files]
    return [*(manifest.variants[name] for name in wanted), *files]


@contextmanager
def unpacked_bundle(content: bytes) -> Iterator[Path]:
    """Unpack what `pack_bundle` returned into a private directory, which is removed when the block ends.

    Nothing is checked but the names: `Bundle` does that, as for every bundle.

    Raises:
        BundleError: it is not such an archive, or the temporary directory has no room.
    """
    with tempfile.TemporaryDirectory(prefix="torchstone-bundle-") as folder:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                _extract(archive, Path(folder), len(content))
        except OSError as error:
            raise BundleError(
                f"The bundle cannot be unpacked into {tempfile.gettempdir()}: {error.strerror or error}.",
                "Make room there, or set TMPDIR.",
            ) from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
            raise BundleError(
                f"These {len(content):,} bytes are not a packed bundle: {error}.", "Give what pack_bundle returned."
            ) from error
        yield Path(folder)


def _extract(archive: zipfile.ZipFile, folder: Path, size: int) -> None:
    members = archive.infolist()
    if len(members) > _MOST_FILES or any(not _PLAIN_NAME.fullmatch(member.filename) for member in members):
        raise zipfile.BadZipFile("its names are not those of a bundle's files")
    # Nothing in it is compressed: it cannot unpack to more than it is.
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise zipfile.BadZipFile("it is compressed")
    if sum(member.file_size for member in members) > size:
        raise zipfile.BadZipFile("it states more bytes than it has")
    for member in members:
        (folder / member.filename).write_bytes(archive.read(member))
