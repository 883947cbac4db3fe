"""Augmentation on the training device: whole batches of uint8 images in one vectorised step."""

from typing import Final

import torch
from torch import Tensor

from torchstone_train.recipe import AugmentName

MAX_SHIFT: Final = 2
"""Pixels by which `shift` moves an image at most, in each direction; what moves in is black."""


def augment(name: AugmentName, images: Tensor, generator: torch.Generator) -> Tensor:
    """Return a batch with random changes, each image its own.

    Args:
        name: `none`; `flip`: mirrored left to right with probability 1/2; `shift`: moved by up to `MAX_SHIFT` pixels;
            `flip-shift`: both.
        images: uint8 (N, C, H, W), on any device.
        generator: on the CPU, so that the same seed changes images alike on every device.
    """
    if "flip" in name:
        images = _flip(images, generator)
    if "shift" in name:
        images = _shift(images, generator)
    return images


def _flip(images: Tensor, generator: torch.Generator) -> Tensor:
    mirrored = torch.rand(len(images), generator=generator) < 0.5  # noqa: PLR2004 - a fair coin
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    count, channels, height, width = images.shape
    padded = torch.nn.functional.pad(images, (MAX_SHIFT,) * 4)
    offsets = torch.randint(0, 2 * MAX_SHIFT + 1, (2, count, 1), generator=generator).to(images.device)
    rows = torch.arange(height, device=images.device) + offsets[0]
    columns = torch.arange(width, device=images.device) + offsets[1]
    samples = torch.arange(count, device=images.device)[:, None, None, None]
    planes = torch.arange(channels, device=images.device)[None, :, None, None]
    return padded[samples, planes, rows[:, None, :, None], columns[:, None, None, :]]
