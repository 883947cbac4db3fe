"""Mini-batches: images resident as uint8 tensors, or streamed from files that don't fit in memory.

Pushing images one by one through a DataLoader costs more than training a small network on them (README, "Measured").
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, Protocol

import torch
from torch import Tensor

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import ImageError
from torchstone_runtime.system.memory import memory_available

Batch = tuple[Tensor, Tensor]

_RESIDENT_SHARE: Final = 0.5
_UNKNOWN: Final = 1 << 30


class Batches(Protocol):
    """Images uint8 (N, C, H, W) and labels int64 (N), handed out in any order on the training device."""

    def __len__(self) -> int:
        """Number of images."""

    def walk(self, order: Tensor, size: int | list[int], epoch: int = 0) -> Iterator[Batch]:
        """Hand out the images at `order` (int64, on the CPU).

        Args:
            order: indices of the images; one that comes twice is handed out twice.
            size: images at a time, and the last batch may be smaller; or the sizes of the batches, whose sum is that of
                all.
            epoch: number of the epoch, which random changes of the images follow from where there are any.
        """


class ResidentBatches:
    """All images in memory; on the GPU itself where that is the training device.

    Args:
        split: split that is read whole.
        device: device that holds the tensors.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        order = torch.arange(len(split)).numpy()
        pixels = split.in_memory().store.read(order)
        if isinstance(split.store, ArrayStore):
            pixels = pixels.copy()  # of somebody else's array, which may be read-only
        self._images = torch.from_numpy(pixels).to(device)
        self._labels = torch.from_numpy(split.labels.copy()).to(device)
        self._device = device

    def __len__(self) -> int:
        return len(self._labels)

    def walk(self, order: Tensor, size: int | list[int], epoch: int = 0) -> Iterator[Batch]:
        """See `Batches.walk`."""
        del epoch
        for chunk in torch.split(order.to(self._device), size):
            yield self._images[chunk], self._labels[chunk]


class StreamedBatches:
    """Images read from their files as they are needed, the next batch while the current one is in use.

    Args:
        split: split whose store is read.
        device: device that batches are moved to.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self._split = split
        self._device = device

    def __len__(self) -> int:
        return len(self._split)

    def walk(self, order: Tensor, size: int | list[int], epoch: int = 0) -> Iterator[Batch]:
        """See `Batches.walk`.

        Raises:
            ImageError: a picture has vanished or is damaged; the message names it.
        """
        del epoch
        chunks = list(torch.split(order, size))
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(self._read, chunks[0]) if chunks else None
            for following in (*chunks[1:], None):
                if upcoming is None:
                    return
                with told_of_lost_pictures():
                    images, labels = upcoming.result()
                upcoming = None if following is None else reader.submit(self._read, following)
                yield images.to(self._device), labels.to(self._device)

    def _read(self, chunk: Tensor) -> Batch:
        indices = chunk.numpy()
        return torch.from_numpy(self._split.store.read(indices)), torch.from_numpy(self._split.labels[indices])


@contextmanager
def told_of_lost_pictures() -> Iterator[None]:
    """Add to the error for a picture that can't be read what may be done about it while a training runs."""
    try:
        yield
    except ImageError as error:
        advice = "Restore it and continue with --resume, or remove it and train again from the start."
        raise ImageError(f"The training stops: {error.problem}", f"{error.remedy}\n{advice}".strip()) from error


def resident_budget() -> int:
    """Return how many bytes of images may be held: half of what this process can still get, 512 MiB if not known."""
    available = memory_available()
    return int((_UNKNOWN if available is None else available) * _RESIDENT_SHARE)


def make_batches(split: Split, device: torch.device, budget: int | None = None) -> Batches:
    """Hold a split in memory if it fits, else stream it.

    Args:
        split: the images.
        device: device of the training.
        budget: bytes that the images may take; half of the available memory if None.
    """
    size = len(split) * math.prod(split.image_shape)
    if size > (resident_budget() if budget is None else budget):
        return StreamedBatches(split, device)
    if device.type == "cuda" and size > torch.cuda.mem_get_info()[0] // 2:
        return StreamedBatches(split.in_memory(), device)
    return ResidentBatches(split, device)
