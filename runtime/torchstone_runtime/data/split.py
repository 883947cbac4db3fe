"""A labelled set of images, resident in memory or read from files as needed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data.mapped_classes import MappedClasses
from torchstone_runtime.data.split_digest import SplitDigest
from torchstone_runtime.errors import DataError
from torchstone_runtime.progress import tell_read

READ_BATCH = 256
"""Images read at once where a whole split is walked through: bounds the memory of streaming."""


class ImageStore(Protocol):
    """Images of one shape that are read by index."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, indices: Int64Array) -> Uint8Array:
        """Return the images at `indices`, in that order, as uint8 of shape (n, C, H, W)."""

    def select(self, indices: Int64Array) -> "ImageStore":
        """Return a store of the images at `indices`, in that order."""


@dataclass(frozen=True, slots=True)
class ArrayStore:
    """Images held in one uint8 array of shape (N, C, H, W).

    Attributes:
        array: the images.
        origin: store that they were read from, in the same order; None where they came as an array.
    """

    array: Uint8Array
    origin: ImageStore | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        _, channels, height, width = self.array.shape
        return channels, height, width

    def __len__(self) -> int:
        return len(self.array)

    def read(self, indices: Int64Array) -> Uint8Array:
        """Return the images at `indices`, in that order, as uint8 of shape (n, C, H, W)."""
        if len(indices) and indices[-1] - indices[0] == len(indices) - 1 and (np.diff(indices) == 1).all():
            return self.array[int(indices[0]) : int(indices[-1]) + 1]  # a view: walking in order copies nothing
        return self.array[indices]

    def select(self, indices: Int64Array) -> "ArrayStore":
        """Return a store of the images at `indices`, in that order."""
        return ArrayStore(self.array[indices], None if self.origin is None else self.origin.select(indices))


@dataclass(frozen=True)
class Split:
    """Images with labels and class names: `train`, `validation`, `test`, or a `whole` source.

    Attributes:
        name: name of the part of its dataset (`train`, `test`, ...).
        store: the images.
        labels: int64 [N], each an index into `class_names`.
        class_names: one name per class, in the order of the labels.
        ids: one identifier an image (a relative path, or the position in its file), in the images' order.
        names_given: whether the source names the classes; else `class_names` are just the label numbers.
        mapped: record of the class map that was applied to it; None where there was none.
    """

    name: str
    store: ImageStore
    labels: Int64Array
    class_names: tuple[str, ...]
    ids: Sequence[str]
    names_given: bool = True
    mapped: MappedClasses | None = None

    def __post_init__(self) -> None:
        if len(self.store) != len(self.labels):
            raise DataError(
                f"The {self.name} split has {len(self.store):,} images but {len(self.labels):,} labels.",
                "Images and labels must correspond one to one; check that both files belong together.",
            )
        if len(self.labels) == 0:
            raise DataError(f"The {self.name} split has no images.")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            raise DataError(
                f"The {self.name} split has labels from {low} to {high}; "
                f"with {len(self.class_names)} classes they must lie in 0 to {len(self.class_names) - 1}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        return self.store.image_shape

    def select(self, indices: Int64Array, name: str) -> "Split":
        """Return the samples at `indices`, in that order, as a split called `name`."""
        ids = [self.ids[index] for index in indices]
        store, labels = self.store.select(indices), self.labels[indices]
        return Split(name, store, labels, self.class_names, ids, self.names_given, self.mapped)

    def in_order(self, class_names: tuple[str, ...] | None) -> "Split":
        """Return the same images with their classes in another order; this split where it does not name just these."""
        names = self.class_names
        if class_names is None or not self.names_given or names == class_names or sorted(names) != sorted(class_names):
            return self
        places = {name: index for index, name in enumerate(class_names)}
        labels = np.array([places[name] for name in names], dtype=np.int64)[self.labels]
        return Split(self.name, self.store, labels, class_names, self.ids, mapped=self.mapped)

    def batches(self, size: int = READ_BATCH) -> Iterator[Uint8Array]:
        """Walk through the images in order, `size` at a time; the last batch may be smaller.

        A whole walk through pictures that are decoded finds the fingerprint on its way, so that nothing is read twice.
        """
        if self.has_fingerprint or isinstance(self.store, ArrayStore):
            yield from self._walk(size)
            return
        yield from self._digested(size, each=True)

    @property
    def has_fingerprint(self) -> bool:
        """Whether the fingerprint is known already, and asking for it reads nothing."""
        return "fingerprint" in self.__dict__

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over shape, pixels and labels; the class names and ids don't enter.

        The bytes hashed: `torchstone-split-1`, then N, C, H, W as little-endian int64, the pixels in C order,
        the labels as little-endian int64.
        """
        for _ in self._digested(READ_BATCH, each=not isinstance(self.store, ArrayStore)):
            pass
        return str(self.__dict__["fingerprint"])

    @cached_property
    def image_digests(self) -> npt.NDArray[np.uint64]:
        """BLAKE2b of each image's pixels, its first 8 bytes, uint64 [N]: of the same walk as the fingerprint."""
        for _ in self._digested(READ_BATCH, each=True):
            pass
        found: npt.NDArray[np.uint64] = self.__dict__["image_digests"]
        return found

    def know_image_digests(self, digests: npt.NDArray[np.uint64]) -> None:
        """Take the digests of an earlier walk, uint64 [N]."""
        self.__dict__["image_digests"] = digests

    @property
    def has_image_digests(self) -> bool:
        """Whether the digests of the images are known already, and asking for them reads no files."""
        return "image_digests" in self.__dict__ or isinstance(self.store, ArrayStore)

    def with_class_names(self, class_names: tuple[str, ...]) -> "Split":
        """Return the same images and labels with other names of the classes."""
        return self._like(class_names=class_names)

    def in_memory(self) -> "Split":
        """Return the same split with its images in one array."""
        if isinstance(self.store, ArrayStore):
            return self
        array = np.empty((len(self), *self.image_shape), dtype=np.uint8)
        start = 0
        for batch in self.batches():
            array[start : start + len(batch)] = batch
            start += len(batch)
        return self._like(store=ArrayStore(array, self.store))

    def _walk(self, size: int) -> Iterator[Uint8Array]:
        for start in range(0, len(self), size):
            end = min(start + size, len(self))
            batch = self.store.read(np.arange(start, end, dtype=np.int64))
            if not isinstance(self.store, ArrayStore):
                tell_read(self.name, end, len(self))
            yield batch

    def _digested(self, size: int, *, each: bool) -> Iterator[Uint8Array]:
        # Of arrays the images' digests are made when they are asked for: an evaluation needs none.
        digest = SplitDigest((len(self), *self.image_shape), each=each)
        for batch in self._walk(size):
            digest.update(batch)
            yield batch
        self.__dict__["fingerprint"] = digest.fingerprint(self.labels)
        if each:
            self.__dict__["image_digests"] = digest.images

    def _like(self, **changes: Any) -> "Split":  # noqa: ANN401 - fields that the fingerprint does not follow from
        other = replace(self, **changes)
        for name in ("fingerprint", "image_digests"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        return other
