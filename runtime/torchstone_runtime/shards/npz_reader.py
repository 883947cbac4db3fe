"""Slices of the arrays in an npz file, read without the rest of it."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np

from torchstone_runtime.errors import DataError, first_line
from torchstone_runtime.shards.container_file import open_container, open_shard
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.shard import Shard
from torchstone_runtime.shards.shard_pictures import shown_id
from torchstone_runtime.text import showable

_AT_ONCE: Final = 256
_LAYOUT_HELP: Final = (
    "An npz file holds 'images' (uint8, N x H x W or N x C x H x W with C 1 or 3), and optionally 'labels' (whole "
    "numbers, N) and 'class_names' (text, one per class)."
)


@dataclass(frozen=True, slots=True)
class _Header:
    length: int
    shape: tuple[int, int, int]

    @property
    def row_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]


def npz_length(path: str, query: str) -> int:
    """Return the number of images in an npz file.

    Raises:
        DataError: it cannot be read, or `images` is not an array of images.
    """
    with (
        _told(path),
        open_container(path, query) as file,
        zipfile.ZipFile(file) as archive,
        archive.open(_member(archive, "images")) as images,
    ):
        return _images_header(archive, images).length


def read_npz(shard: Shard) -> Iterator[ShardItem]:
    """Yield the images of a slice as uint8 [C, H, W]; labels are names where the file has `class_names`.

    Raises:
        DataError: as for `npz_length`.
    """
    with _told(shard.path), open_shard(shard) as file, zipfile.ZipFile(file) as archive:
        labels = _labels(archive)
        with archive.open(_member(archive, "images")) as images:
            header = _images_header(archive, images)
            images.seek(shard.first * header.row_bytes, 1)
            end = min(header.length, shard.first + (shard.rows or 0))
            for start in range(shard.first, end, _AT_ONCE):
                rows = min(_AT_ONCE, end - start)
                pixels = np.frombuffer(images.read(rows * header.row_bytes), np.uint8).reshape(rows, *header.shape)
                for offset, image in enumerate(pixels):
                    place = start + offset
                    label = labels[place] if labels else None
                    yield ShardItem(f"{shown_id(shard.path)}#{place}", image, label, is_index=True)


def _labels(archive: zipfile.ZipFile) -> list[Any]:
    names = set(archive.namelist())
    if "labels.npy" not in names:
        return []
    labels = _load(archive, "labels")
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"'labels' is {labels.dtype} of shape {labels.shape}")
    if "class_names.npy" not in names:
        return list(map(int, labels.tolist()))
    classes = _load(archive, "class_names").tolist()
    return [str(classes[label]) if 0 <= label < len(classes) else None for label in labels.tolist()]


def _load(archive: zipfile.ZipFile, name: str) -> "np.ndarray[Any, Any]":
    with archive.open(f"{name}.npy") as member:
        array: np.ndarray[Any, Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def _member(archive: zipfile.ZipFile, name: str) -> str:
    if f"{name}.npy" not in archive.namelist():
        raise ValueError(f"it has no array called '{name}'")
    return f"{name}.npy"


def _images_header(archive: zipfile.ZipFile, member: IO[bytes]) -> _Header:
    """Read the header of `images`; its length is checked, since all slices are planned by it."""
    header = _read_header(member)
    held = archive.getinfo(_member(archive, "images")).file_size - member.tell()
    if header.length < 0 or header.length * header.row_bytes > held:
        raise ValueError(f"'images' is said to hold {header.length} images, which its {held} bytes do not")
    return header


def _read_header(member: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read(member)
    if len(shape) == 3:  # noqa: PLR2004 - N x H x W
        shape = (shape[0], 1, *shape[1:])
    if dtype != np.uint8 or in_columns or len(shape) != 4 or shape[1] not in (1, 3) or 0 in shape[1:]:  # noqa: PLR2004
        raise ValueError(f"'images' is {dtype} of shape {shape}")
    return _Header(shape[0], (shape[1], shape[2], shape[3]))


class _told:  # noqa: N801 - a context, named as what it does
    """Turns what a damaged archive makes zipfile, zlib and NumPy raise into one error; OSErrors are left."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DataError | OSError):
            raise DataError(
                f"{showable(self._path)} cannot be read as an npz file: {first_line(error)}.", _LAYOUT_HELP
            ) from error
