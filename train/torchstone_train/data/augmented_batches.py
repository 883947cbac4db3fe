"""Batches of pictures that are decoded and changed at random on threads, beside the training."""

import math
from collections import Counter, deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.batches import Batch, told_of_lost_pictures
from torchstone_train.data.pictures import PictureSource
from torchstone_train.data.seeded_draws import seed_of_image

if TYPE_CHECKING:
    from torchstone_train.data.transforms import PictureTransforms

_PIECE: Final = 8
"""Pictures that a thread takes at once: handing out single ones would cost more than the smallest take."""
_AHEAD: Final = 2
"""Batches that are prepared beside the one in use, at least."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    images: Tensor
    labels: Tensor
    pieces: Sequence[Future[None]]


class AugmentedBatches:
    """Pictures with random changes, which follow from the training's seed, the epoch and the picture's index alone.

    Neither the number of threads or processes nor the size of the batches changes them. Batches are uint8 (N, C, H, W),
    channels last in memory, as convolutions take them fastest.

    Args:
        pictures: training pictures.
        labels: int64 [N], in the pictures' order.
        transforms: random changes.
        spec: input specification, whose shape every image has in the end.
        seed: seed of the training.
        device: device that batches are moved to.
        workers: number of threads, 1 or more.
    """

    def __init__(
        self,
        pictures: PictureSource,
        labels: Int64Array,
        transforms: "PictureTransforms",
        spec: InputSpec,
        *,
        seed: int,
        device: torch.device,
        workers: int,
    ) -> None:
        self._pictures = pictures
        self._labels = torch.from_numpy(labels.copy())
        self._transforms = transforms
        self._shape = (spec.height, spec.width, spec.channels)
        self._seed = seed
        self._device = device
        self._workers = workers

    def __len__(self) -> int:
        return len(self._labels)

    def walk(self, order: Tensor, size: int | list[int], epoch: int = 0) -> Generator[Batch]:
        """See `Batches.walk`.

        Raises:
            ImageError: a picture has vanished or is damaged; the message names it.
        """
        chunks = torch.split(order, size)
        ahead = max(_AHEAD, math.ceil(2 * self._workers * _PIECE / max(1, len(chunks[0]))))
        turns: Counter[int] = Counter()
        waiting: deque[_Prepared] = deque()
        pool = ThreadPoolExecutor(self._workers, "torchstone-pictures")
        try:
            for chunk in chunks:
                waiting.append(self._begin(pool, chunk, epoch, turns))
                if len(waiting) > ahead:
                    yield self._finish(waiting.popleft())
            while waiting:
                yield self._finish(waiting.popleft())
        finally:
            # Also where the epoch is left in its middle: what was not begun is not waited for.
            pool.shutdown(cancel_futures=True)

    def augmented(self, index: int, epoch: int, turn: int = 0) -> Tensor:
        """Return one image as a training step of an epoch sees it, uint8 (C, H, W), on the CPU."""
        image = torch.empty((1, *self._shape), dtype=torch.uint8)
        self._fill(image.numpy(), [(index, turn)], epoch)
        return image[0].permute(2, 0, 1)

    def _begin(self, pool: ThreadPoolExecutor, chunk: Tensor, epoch: int, turns: Counter[int]) -> _Prepared:
        # Pages that the GPU copies from by itself, while the next step is prepared.
        pinned = self._device.type == "cuda"
        images = torch.empty((len(chunk), *self._shape), dtype=torch.uint8, pin_memory=pinned)
        places = []
        for index in chunk.tolist():
            places.append((index, turns[index]))
            turns[index] += 1
        pieces = [
            pool.submit(self._fill, images.numpy()[start : start + _PIECE], places[start : start + _PIECE], epoch)
            for start in range(0, len(places), _PIECE)
        ]
        return _Prepared(images, self._labels[chunk], pieces)

    def _fill(self, images: np.ndarray, places: Sequence[tuple[int, int]], epoch: int) -> None:
        for position, (index, turn) in enumerate(places):
            seed = seed_of_image(self._seed, epoch, index, turn)
            self._transforms.write(self._pictures.picture(index), seed, images[position])

    def _finish(self, prepared: _Prepared) -> Batch:
        with told_of_lost_pictures():
            for piece in prepared.pieces:
                piece.result()
        images = prepared.images.permute(0, 3, 1, 2)
        # Only from pinned pages: a copy to an Apple GPU may begin after the source is gone.
        early = self._device.type == "cuda"
        return images.to(self._device, non_blocking=early), prepared.labels.to(self._device, non_blocking=early)
