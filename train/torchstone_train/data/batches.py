"""Mini-batches: images resident as uint8 tensors, or streamed from files that don't fit in memory.

Pushing images one by one through a DataLoader costs more than training a small network on them (README, "Measured").
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import torch
from torch import Tensor

from torchstone_runtime.data.split import Split
from torchstone_runtime.system.memory import memory_available

Batch = tuple[Tensor, Tensor]

_RESIDENT_SHARE: Final = 0.5
_UNKNOWN: Final = 1 << 30


class Batches(Protocol):
    """Images uint8 (N, C, H, W) and labels int64 (N), handed out in any order on the training device."""

    def __len__(self) -> int:
        """Number of images."""

    def walk(self, order: Tensor, size: int | list[int]) -> Iterator[Batch]:
        """Hand out the images at `order` (int64, on the CPU).

        `size` at a time, and the last batch may be smaller; or in batches of the sizes given, whose sum is that of all.
        """


class ResidentBatches:
    """All images in memory; on the GPU itself where that is the training device.

    Args:
        split: split that is read whole.
        device: device that holds the tensors.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        order = torch.arange(len(split)).numpy()
        images = torch.from_numpy(split.in_memory().store.read(order).copy())
        self._images = images.to(device)
        self._labels = torch.from_numpy(split.labels.copy()).to(device)
        self._device = device

    def __len__(self) -> int:
        return len(self._labels)

    def walk(self, order: Tensor, size: int | list[int]) -> Iterator[Batch]:
        """See `Batches.walk`."""
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

    def walk(self, order: Tensor, size: int | list[int]) -> Iterator[Batch]:
        """See `Batches.walk`."""
        chunks = list(torch.split(order, size))
        with ThreadPoolExecutor(1) as reader:
            upcoming = reader.submit(self._read, chunks[0]) if chunks else None
            for following in (*chunks[1:], None):
                if upcoming is None:
                    return
                images, labels = upcoming.result()
                upcoming = None if following is None else reader.submit(self._read, following)
                yield images.to(self._device), labels.to(self._device)

    def _read(self, chunk: Tensor) -> Batch:
        indices = chunk.numpy()
        return torch.from_numpy(self._split.store.read(indices)), torch.from_numpy(self._split.labels[indices])


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
