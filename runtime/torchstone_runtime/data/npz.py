"""Labelled arrays from an npz file: `images`, `labels` and, if wished, `class_names`."""

import math
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.class_names import MAX_CLASSES
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.path_kinds.wanted import not_an_npz_file
from torchstone_runtime.text import is_showable

_MAX_BYTES: Final = 16 << 30
_LAYOUT_HELP: Final = (
    "An npz dataset holds 'images' (uint8, N x H x W or N x C x H x W with C 1 or 3), 'labels' (whole numbers, N) "
    "and optionally 'class_names' (text, one per class)."
)


def load_npz(path: Path) -> Split:
    """Read a whole npz file as one split; nothing in it is unpickled.

    Raises:
        DataError: no npz file, an array missing or of another type or shape, or images and labels of different
            lengths.
    """
    arrays = _read_arrays(path)
    images = _check_images(path, arrays["images"])
    labels = _check_labels(path, arrays["labels"])
    if len(images) != len(labels):
        raise DataError(f"{path}: 'images' has {len(images):,} entries but 'labels' has {len(labels):,}.", _LAYOUT_HELP)
    if len(labels) == 0:
        raise DataError(f"{path} holds no images.", _LAYOUT_HELP)
    names = _class_names(path, arrays.get("class_names"), labels)
    ids = [str(index) for index in range(len(labels))]
    return Split("whole", ArrayStore(images), labels, names, ids, names_given="class_names" in arrays)


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise DataError(f"{path} is not a file.", f"{not_an_npz_file(path)}\nGive an existing file: npz:FILE.".lstrip())
    if hint := not_an_npz_file(path):
        raise DataError(f"{path} cannot be read as an npz file.", f"{hint}\n{_LAYOUT_HELP}")
    try:
        with zipfile.ZipFile(path) as archive:
            stated = sum(info.file_size for info in archive.infolist())
        if stated > _MAX_BYTES:
            raise DataError(f"{path} unpacks to {stated:,} bytes; at most {_MAX_BYTES:,} are read.")
        with np.load(path, allow_pickle=False) as archive:
            found = set(archive.files)
            if missing := {"images", "labels"} - found:
                raise DataError(f"{path} has no array called '{min(missing)}'; it has {sorted(found)}.", _LAYOUT_HELP)
            arrays = {name: archive[name] for name in ("images", "labels", "class_names") if name in found}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of a member that is not an array
                raise DataError(f"{path}: '{name}' is not an array.", _LAYOUT_HELP)
    except DataError:
        raise
    except Exception as error:  # A damaged archive makes zipfile, zlib and NumPy raise a dozen unrelated classes.
        raise DataError(f"{path} cannot be read as an npz file: {error}.", _LAYOUT_HELP) from error
    return arrays


def _check_images(path: Path, images: npt.NDArray[Any]) -> Uint8Array:
    if images.dtype != np.uint8:
        raise DataError(f"{path}: 'images' is {images.dtype}, expected uint8 pixels from 0 to 255.", _LAYOUT_HELP)
    if images.ndim == 3:  # noqa: PLR2004 - N x H x W
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] not in (1, 3) or math.prod(images.shape[1:]) == 0:  # noqa: PLR2004
        raise DataError(f"{path}: 'images' has the shape {images.shape}.", _LAYOUT_HELP)
    return np.ascontiguousarray(images)


def _check_labels(path: Path, labels: npt.NDArray[Any]) -> Int64Array:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: 'labels' is {labels.dtype} of shape {labels.shape}.", _LAYOUT_HELP)
    if len(labels) and (labels.min() < 0 or labels.max() >= MAX_CLASSES):
        found = f"{labels.min()} to {labels.max()}"
        raise DataError(f"{path}: 'labels' must be class numbers from 0 to {MAX_CLASSES - 1}; found {found}.")
    return labels.astype(np.int64)


def _class_names(path: Path, names: npt.NDArray[Any] | None, labels: Int64Array) -> tuple[str, ...]:
    if names is None:
        return tuple(str(index) for index in range(int(labels.max()) + 1))
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != len(names):
        raise DataError(f"{path}: 'class_names' must be different texts, one per class.", _LAYOUT_HELP)
    if unshowable := [name for name in names.tolist() if not is_showable(name)]:
        raise DataError(f"{path}: the class name {unshowable[0]!r} holds control characters or is not valid Unicode.")
    return tuple(names.tolist())
