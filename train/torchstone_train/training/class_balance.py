"""Unequal classes: weights of the loss, and epochs that show every class equally often."""

from typing import Final

import torch
from torch import Tensor

from torchstone_train.recipes.recipe import ClassWeightsName

UNEQUAL_FROM: Final = 2.0
"""Ratio of the largest to the smallest class from which classes are unequal."""


def are_balanced(name: ClassWeightsName, labels: Tensor) -> bool:
    """Return whether classes are weighted: `balanced`, or `auto` and they are unequal (`UNEQUAL_FROM`).

    Args:
        name: field `class_weights` of the recipe.
        labels: labels of the training images, int64 (n).
    """
    if name != "auto":
        return name == "balanced"
    counts = torch.bincount(labels)
    counts = counts[counts > 0]
    return float(counts.max() / counts.min()) >= UNEQUAL_FROM


def balanced_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Return the weight of each class in the loss, float32 (K): n / (k * n_class), as scikit-learn's `balanced`.

    The mean weight of the images is 1, so that the learning rate keeps its meaning. A class without images has 0, and
    is not among the k.

    Args:
        labels: labels of the n training images, int64 (n).
        num_classes: number of classes K.
    """
    counts = torch.bincount(labels, minlength=num_classes)
    weights = len(labels) / (torch.count_nonzero(counts) * counts.clamp(min=1).double())
    return torch.where(counts > 0, weights, 0.0).float()


def balanced_order(labels: Tensor, generator: torch.Generator) -> Tensor:
    """Return positions of as many images as there are, int64 (n), in which all classes occur equally often.

    The numbers of two classes differ by 1 at most. Of a class that is shown more often than it has images, each image
    is shown before one is shown again; of a larger one a random part is shown.

    Args:
        labels: labels of the images, int64 (n), on the CPU.
        generator: source of the randomness; the same state gives the same order.
    """
    present = torch.unique(labels)
    shares = torch.full((len(present),), len(labels) // len(present))
    # Which classes get one image more changes from epoch to epoch.
    more = torch.randperm(len(present), generator=generator)[: len(labels) % len(present)]
    shares[more] += 1
    drawn = [
        _drawn(torch.nonzero(labels == label).flatten(), int(share), generator)
        for label, share in zip(present, shares, strict=True)
    ]
    together = torch.cat(drawn)
    return together[torch.randperm(len(together), generator=generator)]


def _drawn(members: Tensor, share: int, generator: torch.Generator) -> Tensor:
    rounds = -(-share // len(members))
    orders = [members[torch.randperm(len(members), generator=generator)] for _ in range(rounds)]
    return torch.cat([*orders, members[:0]])[:share]
