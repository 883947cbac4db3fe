"""Fashion-MNIST and MNIST through torchvision's own download code and checksums."""

import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from torchstone_runtime.data.catalog import MNIST_FAMILY
from torchstone_runtime.data.idx import find_idx
from torchstone_runtime.data.mnist_family import MnistLayout, missing_files
from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_runtime.files import reported_as_output_error


def ensure_downloaded(name: str, data_dir: Path, dataset_class: Any = None) -> list[Path]:  # noqa: ANN401
    """Fetch the files of a dataset that are there neither plain nor as `.gz`.

    torchvision fetches, checks the MD5 sums and unpacks in a temporary folder beside the target; only whole files
    are then moved into place.

    Args:
        name: `fashion-mnist` or `mnist`.
        data_dir: that holds, or will hold, `FashionMNIST/raw` or `MNIST/raw`.
        dataset_class: the torchvision dataset to use; the one that belongs to `name` if None.

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
    target = layout.raw(data_dir)
    with reported_as_output_error(target):
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=".download-") as temporary:
            fetched = _fetch(layout, Path(temporary), target, dataset_class or _torchvision_class(layout))
            return [_move_into_place(fetched, stem, target) for stem in missing]


def _fetch(layout: MnistLayout, folder: Path, target: Path, dataset_class: Any) -> Path:  # noqa: ANN401
    raw = folder / layout.folder / "raw"
    raw.mkdir(parents=True)
    # What is there already is not fetched again: torchvision takes a .gz file whose checksum is right.
    for archive in target.glob("*.gz"):
        shutil.copy(archive, raw)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
            dataset_class(folder, download=True)
    except (RuntimeError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise DataError(
            f"{layout.name} is not in {target} and could not be downloaded: {reason}",
            f"Without a network: put {', '.join(missing_files(layout, target.parents[1]))} (plain or .gz) there, "
            f"or point --data-dir or TORCHSTONE_DATA at a folder that holds {layout.folder}/raw.",
        ) from error
    return raw


def _move_into_place(raw: Path, stem: str, target: Path) -> Path:
    source = find_idx(raw, stem)
    if source is None:
        raise DataError(f"torchvision did not provide {stem}.", "Fetch it by hand.")
    destination = target / source.name
    source.replace(destination)
    return destination


def _torchvision_class(layout: MnistLayout) -> Any:  # noqa: ANN401 - torchvision ships no types
    from torchvision import datasets  # noqa: PLC0415 - takes seconds, and is seldom needed

    return getattr(datasets, layout.folder)
