"""Augmentation on the training device: whole batches of uint8 images in one vectorised step."""

from typing import Final

import torch
from torch import Tensor

from torchstone_train.recipes.recipe import FlipName
from torchstone_train.recipes.transforms import AugmentName

MAX_SHIFT: Final = 2
"""Pixels by which `shift` moves an image at most, in each direction; what moves in is black."""
ERASE_PROBABILITY: Final = 0.5
ERASED_AREA: Final = (0.02, 0.25)
ERASED_ASPECT: Final = 0.3
"""Of `erase`: share of the images, smallest and largest share of the area, smallest ratio of the sides (after
Z. Zhong et al., arXiv 1708.04896, whose largest area is 0.4)."""
_FLIP_SEED: Final = 750_000


class Augmentation:
    """The random changes of a training, which know what each image looked like in the epoch before.

    Args:
        name: names of the changes, see `augment`.
        flips: `random`: by chance in each epoch; `alternating`: in every second epoch, each image beginning by chance,
            so that two epochs show every image both ways (K. Jordan, arXiv 2404.00498).
        num_images: number of images in the training split.
        seed: seed of the training.
    """

    def __init__(self, name: AugmentName, flips: FlipName, num_images: int, seed: int) -> None:
        self._name: AugmentName = name
        self._first: Tensor | None = None
        if "flip" in name and flips == "alternating":
            generator = torch.Generator().manual_seed(seed + _FLIP_SEED)
            self._first = torch.rand(num_images, generator=generator) < 0.5  # noqa: PLR2004 - a fair coin

    def __call__(self, images: Tensor, indices: Tensor, epoch: int, generator: torch.Generator) -> Tensor:
        """Return a batch with its changes.

        Args:
            images: uint8 (n, C, H, W), on any device.
            indices: int64 (n), on the CPU: which images of the training split they are.
            epoch: number of the epoch, from 1.
            generator: random number generator on the CPU, see `augment`.
        """
        if self._first is None:
            return augment(self._name, images, generator)
        return augment(self._name, images, generator, self._first[indices] ^ bool(epoch % 2))


def augment(name: AugmentName, images: Tensor, generator: torch.Generator, mirrored: Tensor | None = None) -> Tensor:
    """Return a batch with random changes, each image its own.

    Args:
        name: `none`, or any of these joined by hyphens: `flip`: mirrored left to right with probability 1/2; `shift`:
            moved by up to `MAX_SHIFT` pixels; `erase`: with `ERASE_PROBABILITY` a rectangle of random pixels.
        images: uint8 (N, C, H, W), on any device.
        generator: random number generator on the CPU, so that the same seed changes images alike on every device.
        mirrored: bool (N), on the CPU: which images `flip` mirrors; chosen by chance if None.
    """
    if "flip" in name:
        images = _flip(images, generator, mirrored)
    if "shift" in name:
        images = _shift(images, generator)
    if "erase" in name:
        images = _erase(images, generator)
    return images


def beside(drawn: Tensor, images: Tensor) -> Tensor:
    """Return what was drawn on the CPU on the device of the images; a GPU is not waited for."""
    # CUDA has taken a copy when the call returns; one to an Apple GPU may begin after the source is gone.
    return drawn.to(images.device, non_blocking=images.device.type == "cuda")


def _flip(images: Tensor, generator: torch.Generator, mirrored: Tensor | None) -> Tensor:
    if mirrored is None:
        mirrored = torch.rand(len(images), generator=generator) < 0.5  # noqa: PLR2004 - a fair coin
    return torch.where(beside(mirrored, images)[:, None, None, None], images.flip(3), images)


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (MAX_SHIFT,) * 4)
    offsets = beside(torch.randint(0, 2 * MAX_SHIFT + 1, (2, count, 1), generator=generator), images)
    samples = torch.arange(count, device=images.device)
    # A view of all moved images; indexing it copies the chosen ones alone.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1).transpose(1, 2).transpose(2, 3)
    return windows[samples, offsets[0, :, 0], offsets[1, :, 0]].contiguous()


def _erase(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    chance, area, aspect, top, left = torch.rand(5, count, generator=generator)
    smallest, largest = ERASED_AREA
    area = (smallest + (largest - smallest) * area) * height * width
    # From r to 1 / r, evenly in the logarithm.
    aspect = ERASED_ASPECT ** (2 * aspect - 1)
    tall, wide = (area * aspect).sqrt().round().clamp(1, height), (area / aspect).sqrt().round().clamp(1, width)
    tall = tall * (chance < ERASE_PROBABILITY)  # no rows: nothing is erased
    top, left = (top * (height - tall + 1)).floor(), (left * (width - wide + 1)).floor()
    inside = _span(top, tall, height)[:, :, None] & _span(left, wide, width)[:, None, :]
    noise = torch.randint(0, 256, images.shape[1:], dtype=torch.uint8, generator=generator)
    return torch.where(beside(inside[:, None], images), beside(noise, images), images)


def _span(start: Tensor, length: Tensor, size: int) -> Tensor:
    positions = torch.arange(size)[None, :]
    return (positions >= start[:, None]) & (positions < (start + length)[:, None])
