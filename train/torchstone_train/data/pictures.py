"""Where augmentation takes its pictures from: files, or arrays, one picture at a time and from any thread."""

import os
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import PIL
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.data.shard_store import ShardStore
from torchstone_runtime.data.split import ImageStore
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import check_size, decode_image, read_picture, upright_picture
from torchstone_runtime.images.resampling.resized_part import picture_of, resized_picture

_HEADROOM: Final = 2
"""Shorter side of a picture that is cropped from, in sides of the model's input: a crop of a quarter of the area is
still as large as the input. Of such crops of photographs, 97% of the differences between neighbouring pixels are left,
beside crops of the whole picture; of smaller ones 87% (docs/reference/recipes.md)."""
_RULE: Final = 2
"""Counts the changes of how a picture is reduced: what a cache on disk holds by an earlier one is not used."""
_REDUCTION: Final = "bicubic"
"""Bilinear would leave 91% and 79%."""


class PictureSource(Protocol):
    """Pictures by index, in the colour mode of the model."""

    def __len__(self) -> int:
        """Number of pictures."""

    def picture(self, index: int) -> Image.Image:
        """Return a picture, which is not to be altered.

        Raises:
            ImageError: it can't be decoded; the message names it.
        """


class ArrayPictures:
    """Pictures of a store of arrays.

    Args:
        store: images uint8 (C, H, W) by index.
    """

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def picture(self, index: int) -> Image.Image:
        """See `PictureSource.picture`."""
        return picture_of(self._store.read(np.array([index], dtype=np.int64))[0])


class FilePictures:
    """Pictures decoded from files: as the model takes them, or whole, to be cropped.

    A whole picture whose shorter side is longer than `shorter_side` is reduced to that; a JPEG is then decoded at a
    half, a quarter or an eighth of its size, where that is still no smaller. So what is augmented doesn't depend on
    whether it is kept in a cache.

    Args:
        store: the files, or pictures in archives and tables, and the specification that they are decoded by.
        shorter_side: pixels of the shorter side; None: pictures as `decode_image` gives them.
    """

    def __init__(self, store: FileStore | ShardStore, shorter_side: int | None = None) -> None:
        self._store = store
        self._shorter_side = shorter_side
        self._place = os.path.realpath(store.root) if isinstance(store, FileStore) else ""
        self._made_by = repr((store.spec, shorter_side, PIL.__version__, _RULE))

    def __len__(self) -> int:
        return len(self._store)

    def picture(self, index: int) -> Image.Image:
        """See `PictureSource.picture`."""
        if isinstance(self._store, FileStore):
            return self._decoded(self._store.root / self._store.names[index])
        content = self._store.content(index)
        try:
            return self._decoded(content)
        except ImageError as error:
            raise self._store.named(index, content, error) from error

    def key(self, index: int) -> str:
        """Return a text that is the same as long as the file and what is made of it are: path, size, times, how.

        The file's number and the time of its last change of any kind are part of it: a date that was set back, as
        copying and unpacking do, does not hide another picture.

        Of a picture in an archive or a table its content stands for the file.

        Raises:
            OSError: there is no such file any more.
        """
        if not isinstance(self._store, FileStore):
            return f"{self._store.digest(index)}\n{self._made_by}"
        path = os.path.join(self._place, self._store.names[index])  # noqa: PTH118 - a tenth of the time, for each picture
        found = os.stat(path)  # noqa: PTH116 - likewise
        state = f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
        return f"{path}\n{state}\n{self._made_by}"

    def _decoded(self, source: Path | bytes) -> Image.Image:
        if self._shorter_side is None:
            return picture_of(decode_image(source, self._store.spec))
        return read_picture(source, self._whole)

    def _whole(self, image: Image.Image, name: str) -> Image.Image:
        spec, shortest = self._store.spec, self._shorter_side or 1
        check_size(image, name)
        # Of the whole picture: a JPEG of few rows that is decoded at a part of its size has another shape.
        wanted = _reduced_size(image.size, shortest)
        image.draft(None, wanted)  # None leaves the mode
        decoded = image.size
        upright = upright_picture(image, name, spec.color, spec.bits)
        if min(upright.size) <= shortest:
            return upright
        if upright.size != decoded:  # it lay on its side
            wanted = wanted[::-1]
        # Made of single colours, as drawings of pixels are, a picture is to stay so.
        how = "nearest" if spec.resample == "nearest" else _REDUCTION
        return resized_picture(upright, *wanted, how)


def shorter_side_of_crops(height: int, width: int) -> int:
    """Return the shorter side that pictures are reduced to before crops are resized to `height` x `width`."""
    return _HEADROOM * max(height, width)


def to_pixels(picture: Image.Image) -> Uint8Array:
    """Return a Pillow picture of mode L or RGB as uint8 (H, W, C)."""
    pixels = np.asarray(picture, dtype=np.uint8)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]  # noqa: PLR2004 - L has two


def _reduced_size(size: tuple[int, int], shorter_side: int) -> tuple[int, int]:
    # In whole numbers, upwards: 25 * (14 / 25) is more than 14.
    return -(-size[0] * shorter_side // min(size)), -(-size[1] * shorter_side // min(size))
