"""Fashion-MNIST and MNIST through torchvision's own download code and checksums."""

import contextlib
import errno
import socket
import sys
import tempfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from torchstone_runtime.cli.progress_line import loading_shown
from torchstone_runtime.data.catalog import MNIST_FAMILY
from torchstone_runtime.data.idx import find_idx
from torchstone_runtime.data.mnist_family import MnistLayout, missing_files
from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_runtime.files import reported_as_output_error
from torchstone_runtime.system.thread_output import own_output_to

_TIMEOUT_SECONDS: Final = 30
_DISK_ERRORS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EFBIG})


def ensure_downloaded(name: str, data_dir: Path, dataset_class: Any = None) -> list[Path]:  # noqa: ANN401
    """Fetch the files of a dataset that are there neither plain nor as `.gz`.

    torchvision fetches, checks the MD5 sums and unpacks in a temporary folder beside the target; only whole files
    are then moved into place.

    Args:
        name: `fashion-mnist` or `mnist`.
        data_dir: folder that holds, or will hold, `FashionMNIST/raw` or `MNIST/raw`.
        dataset_class: the torchvision dataset whose mirrors and checksums count; the one of `name` if None.

    Returns:
        The files that were fetched; empty where all were there.

    Raises:
        UsageError: a dataset that can't be downloaded.
        DataError: a file could not be fetched or its checksum is wrong; says which file, from where, and what to do.
        OutputError: the data directory can't be written.
    """
    if name not in MNIST_FAMILY:
        raise UsageError(f"'{name}' cannot be downloaded.", suggestion(name, MNIST_FAMILY))
    layout = MNIST_FAMILY[name]
    missing = missing_files(layout, data_dir)
    if not missing:
        return []
    source = dataset_class or _torchvision_class(layout)
    with (
        reported_as_output_error(data_dir),
        _made_for(data_dir),
        tempfile.TemporaryDirectory(dir=data_dir, prefix=".download-") as temporary,
    ):
        for stem in missing:
            _fetch(layout, stem, Path(temporary), data_dir, source)
        return [_move_into_place(Path(temporary), stem, layout.raw(data_dir)) for stem in missing]


@contextlib.contextmanager
def _made_for(folder: Path) -> Iterator[None]:
    """Make a folder for the block; if it fails and left nothing there, take it away again."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _fetch(layout: MnistLayout, stem: str, folder: Path, data_dir: Path, source: Any) -> None:  # noqa: ANN401
    from torchvision.datasets.utils import download_and_extract_archive  # noqa: PLC0415 - takes seconds, seldom needed

    filename, md5 = next(entry for entry in source.resources if entry[0].removesuffix(".gz") == stem)
    failures = []
    for mirror in source.mirrors:
        try:
            with own_output_to(sys.stderr, "stdout"), _timeout():  # stdout is for results
                download_and_extract_archive(f"{mirror}{filename}", str(folder), filename=filename, md5=md5)
        except (RuntimeError, OSError, EOFError, HTTPException, zlib.error) as error:
            if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
                raise  # not the network's fault: no mirror would help
            failures.append(f"{mirror}{filename}: {' '.join(str(error).split()) or type(error).__name__}")
        else:
            return
    raise DataError(
        f"{layout.name} is not in {layout.raw(data_dir)}, and {filename} could not be downloaded.",
        f"Without a network: put {', '.join(missing_files(layout, data_dir))} (plain or .gz) into that folder, "
        f"or point --data-dir or TORCHSTONE_DATA at one that holds {layout.folder}/raw.",
        failures,
    )


@contextlib.contextmanager
def _timeout() -> Iterator[None]:
    """Let connections fail that stay silent; torchvision would wait forever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _move_into_place(fetched: Path, stem: str, raw: Path) -> Path:
    source = find_idx(fetched, stem)
    if source is None:
        raise DataError(f"torchvision did not provide {stem}.", "Fetch it by hand.")
    raw.mkdir(parents=True, exist_ok=True)
    destination = raw / source.name
    source.replace(destination)
    return destination


def _torchvision_class(layout: MnistLayout) -> Any:  # noqa: ANN401 - torchvision ships no types
    with loading_shown("torchvision"):
        from torchvision import datasets  # noqa: PLC0415 - takes seconds, and is seldom needed

    return getattr(datasets, layout.folder)
