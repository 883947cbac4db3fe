"""Decoded pictures that are kept, within a budget: in memory, or in files that runs share (`disk_cache`)."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_train.data.pictures import PictureSource, to_pixels


class PictureCache(Protocol):
    """Keeps pictures by key, from any thread; it may forget any."""

    def load(self, key: Hashable) -> Image.Image | None:
        """Return the picture that is kept under a key, else None."""

    def store(self, key: Hashable, picture: Image.Image) -> None:
        """Keep a picture, if there is room."""


class CachedPictures:
    """The pictures of a source, each taken from a cache where it is in it.

    Args:
        source: pictures.
        cache: cache that they are looked for in first, and left in.
        key_of: function from an index to the key of a picture; it raises OSError where the picture is gone. The index
            itself if None.
    """

    def __init__(
        self, source: PictureSource, cache: PictureCache, key_of: Callable[[int], Hashable] | None = None
    ) -> None:
        self._source = source
        self._cache = cache
        self._key_of = key_of

    def __len__(self) -> int:
        return len(self._source)

    def picture(self, index: int) -> Image.Image:
        """See `PictureSource.picture`."""
        try:
            key = index if self._key_of is None else self._key_of(index)
        except OSError:
            return self._source.picture(index)  # which says what is wrong with the file
        found = self._cache.load(key)
        if found is None:
            found = self._source.picture(index)
            self._cache.store(key, found)
        return found


class CachedStore:
    """The images of a source as an `ImageStore`: read by index, several at once.

    Args:
        pictures: pictures of one size.
        image_shape: shape of them all, (C, H, W).
        workers: number of threads, 1 or more.
    """

    def __init__(self, pictures: PictureSource, image_shape: tuple[int, int, int], workers: int) -> None:
        self._pictures = pictures
        self._shape = image_shape
        self._workers = workers

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        return self._shape

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, indices: Int64Array) -> Uint8Array:
        """Return the images at `indices`, in that order, as uint8 of shape (n, C, H, W).

        Raises:
            ImageError: a picture can't be decoded; the message names it.
        """
        images = np.empty((len(indices), *self._shape), dtype=np.uint8)
        with ThreadPoolExecutor(self._workers) as pool:
            for position, picture in enumerate(pool.map(self._pictures.picture, indices.tolist())):
                images[position] = np.moveaxis(to_pixels(picture), -1, 0)
        return images

    def select(self, indices: Int64Array) -> "CachedStore":
        """Return a store of the images at `indices`, in that order."""
        return CachedStore(_Selected(self._pictures, indices), self._shape, self._workers)


class _Selected:
    def __init__(self, pictures: PictureSource, indices: Int64Array) -> None:
        self._pictures = pictures
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def picture(self, index: int) -> Image.Image:
        return self._pictures.picture(int(self._indices[index]))


class MemoryCache:
    """Keeps the first pictures that it is given, up to a number of bytes.

    The first rather than the latest: an epoch asks for every picture once, so the latest would all be forgotten before
    they are asked for again.

    Args:
        budget: bytes of pixels as Pillow holds them, four for one in colour.
    """

    def __init__(self, budget: int) -> None:
        self._room = budget
        self._kept: dict[Hashable, Image.Image] = {}
        self._lock = threading.Lock()

    def load(self, key: Hashable) -> Image.Image | None:
        """See `PictureCache.load`."""
        return self._kept.get(key)

    def store(self, key: Hashable, picture: Image.Image) -> None:
        """See `PictureCache.store`."""
        # Not as bytes, which would be three quarters: turning them into pictures takes as long as a flip.
        size = picture.width * picture.height * (1 if picture.mode == "L" else 4)
        with self._lock:
            if size > self._room or key in self._kept:
                return
            self._room -= size
            self._kept[key] = picture
