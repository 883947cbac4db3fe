"""Mixup and cutmix: batches in which each image is blended with another, and its target likewise."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from torchstone_train.data.augment import beside
from torchstone_train.recipes.recipe import Recipe

_WHITE: Final = 255


@dataclass(frozen=True, slots=True)
class Mixing:
    """Blends the images of a batch in pairs.

    `mixup` (H. Zhang et al., arXiv 1710.09412) takes a weighted mean of two images, `cutmix` (S. Yun et al., arXiv
    1905.04899) puts a rectangle of one into the other. One weight, of the distribution Beta(alpha, alpha), holds for
    the whole batch; where both are on, each batch has one of them by chance.

    Attributes:
        mixup, cutmix: alpha of each; 0: off.
        num_classes: number of classes K.
    """

    mixup: float
    cutmix: float
    num_classes: int

    @classmethod
    def of(cls, recipe: Recipe, num_classes: int) -> "Mixing":
        """Return the mixing of a recipe."""
        return cls(recipe.mixup, recipe.cutmix, num_classes)

    def __call__(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Return mixed images, and their targets, which share out 1 among the classes, float32 (n, K).

        Without mixing the images as they are, and None.

        Args:
            images: uint8 (n, C, H, W), on any device; mixed ones are rounded to whole levels.
            labels: int64 (n), on the same device.
            generator: random number generator on the CPU, so that the same seed mixes alike on every device.
        """
        if not self.mixup and not self.cutmix:
            return images, None
        other = beside(torch.randperm(len(images), generator=generator), images)
        cuts = self.cutmix > 0 and (not self.mixup or bool(torch.rand((), generator=generator) < 0.5))  # noqa: PLR2004 - a fair coin
        kept = _beta(self.cutmix if cuts else self.mixup, generator)
        if cuts:
            images, kept = _cut(images, images[other], kept, generator)
        else:
            images = _blend(images, images[other], kept)
        targets = torch.nn.functional.one_hot(labels, self.num_classes).float()
        return images, kept * targets + (1 - kept) * targets[other]


def _beta(alpha: float, generator: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha), as the share of one of two draws from Gamma(alpha)."""
    first, second = torch._standard_gamma(torch.full((2,), alpha, dtype=torch.float64), generator=generator).tolist()  # noqa: SLF001 - torch.distributions takes no generator
    return first / (first + second) if first + second > 0 else 1.0


def _blend(images: Tensor, others: Tensor, kept: float) -> Tensor:
    mixed = images.float().mul_(kept).add_(others.float(), alpha=1 - kept)
    return mixed.round_().clamp_(0, _WHITE).to(torch.uint8)


def _cut(images: Tensor, others: Tensor, kept: float, generator: torch.Generator) -> tuple[Tensor, float]:
    """Put a rectangle, `1 - kept` of the area about a random centre, into each image; return what is really kept."""
    height, width = images.shape[2:]
    row, column = (torch.rand(2, generator=generator) * torch.tensor([height, width])).int().tolist()
    half = math.sqrt(1 - kept) / 2
    top, bottom = (max(0, min(height, row + round(sign * half * height))) for sign in (-1, 1))
    left, right = (max(0, min(width, column + round(sign * half * width))) for sign in (-1, 1))
    cut = images.clone()
    cut[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return cut, 1 - (bottom - top) * (right - left) / (height * width)
