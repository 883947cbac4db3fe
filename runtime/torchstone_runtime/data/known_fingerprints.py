"""Fingerprints of folders that were read before, so that unchanged pictures need not be read for them alone.

What is kept is a claim about files, not about pixels: equal paths, sizes, inodes and times of change. It is asked where
a fingerprint is written down for later, or chooses between splits. Whatever a certificate states, and every check
against one, is the SHA-256 over pixels that were read for it (`Split.fingerprint`).
"""

import hashlib
import os
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import PIL

from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import OutputError
from torchstone_runtime.files import write_atomic
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.version import __version__

CACHE_VARIABLE: Final = "TORCHSTONE_CACHE"
_SETTLED_SECONDS: Final = 2.0
"""Age of the youngest change from which another one would show: clocks of file systems are as coarse as that."""
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_LENGTH: Final = 64
"""Bytes of a fingerprint in a record; the digests of the images follow."""


def cache_dir() -> Path | None:
    """Return the folder of what can be found out again: `TORCHSTONE_CACHE`, else the user's; None where that is empty.

    The user's is `torchstone` in `XDG_CACHE_HOME`, or in `~/.cache`.
    """
    if (given := os.environ.get(CACHE_VARIABLE)) is not None:
        return Path(given).expanduser() if given else None
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "torchstone"
    except RuntimeError:  # no home directory
        return None


def known_fingerprint(split: Split) -> str:
    """Return the fingerprint of a split, as it was computed when its unchanged files were read last, else by reading.

    The split's `image_digests` are known then.

    Raises:
        ImageError: a file is not an image.
    """
    folder, store = cache_dir(), split.store
    if folder is None or split.has_fingerprint or not isinstance(store, FileStore):
        return split.fingerprint
    began = time.time()
    state, changed = _state(split, store)
    record = folder / "fingerprints" / state
    with suppress(OSError, ValueError):
        content = record.read_bytes()
        found, digests = content[:_LENGTH].decode("ascii"), np.frombuffer(content[_LENGTH:], dtype=np.uint64)
        if _FINGERPRINT.fullmatch(found) and len(digests) == len(split):
            split.know_image_digests(digests)
            return found
    fingerprint = split.fingerprint
    # A file that changed while it was read, or just before, may have been read as it no longer is.
    if changed < began - _SETTLED_SECONDS and _state(split, store)[0] == state:
        _keep(record, fingerprint.encode() + split.image_digests.tobytes())
    return fingerprint


def _keep(record: Path, content: bytes) -> None:
    with suppress(OSError, OutputError):  # a cache that can't be written costs time and nothing else
        record.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(record, content)


def _state(split: Split, store: FileStore) -> tuple[str, float]:
    """Return the SHA-256 (hex) of all that the fingerprint follows from, but the pixels, and when a file last changed.

    Times of change (ctime) are part of it: a date that was set back does not hide a change.
    """
    digest = hashlib.sha256(b"torchstone-files-1")
    read_by = [__version__, PIL.__version__, store.spec.to_json(), list(split.image_shape), len(split)]
    digest.update(strict_json(read_by).encode())
    digest.update(os.fsencode(store.root.resolve()) + b"\0")
    times = []
    for name in store.names:
        try:
            found = os.stat(store.root / name)  # noqa: PTH116 - twice as fast as Path.stat
        except OSError:
            times.append(time.time())  # reading it will say so
            continue
        times.append(found.st_ctime)
        numbers = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        digest.update(os.fsencode(name) + repr(numbers).encode() + b"\0")
    digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest(), float(np.max(times))
