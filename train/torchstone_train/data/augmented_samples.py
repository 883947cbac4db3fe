"""A few training images with the random changes of several epochs, to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.examples import evenly_by_class
from torchstone_train.data.augment import Augmentation
from torchstone_train.data.batches import Batches
from torchstone_train.data.seeded_draws import seed_of_image
from torchstone_train.recipes.recipe import Recipe

SAMPLES: Final = 6
EPOCHS: Final = 6
"""Images that are shown, and epochs of each."""


@dataclass(frozen=True, eq=False, slots=True)
class AugmentedSample:
    """A training image.

    Attributes:
        name: name of its class.
        identifier: its identifier in the split.
        original: its pixels as inference has them, uint8 (C, H, W).
        changed: its pixels as the first epochs have them, uint8 (`EPOCHS`, C, H, W).
    """

    name: str
    identifier: str
    original: Uint8Array
    changed: Uint8Array


@dataclass(frozen=True, eq=False, slots=True)
class Augmented:
    """Some training images with their random changes, and the names of these; none where there are no changes."""

    samples: Sequence[AugmentedSample] = ()
    words: str = ""


NOT_AUGMENTED: Final = Augmented()


def augmentation_words(recipe: Recipe) -> str:
    """Return the names of a recipe's random changes, separated by commas; empty where it has none."""
    return ", ".join(name for name in (recipe.transforms, recipe.augment) if name not in ("", "none"))


def augmented_samples(train: Batches, split: Split, recipe: Recipe, seed: int) -> Augmented:
    """Return images of different classes with the changes that a recipe makes; none where it makes none.

    Those of `transforms` are the very ones of the epochs; of `augment`, which changes whole batches, others like them.

    Args:
        train: batches of the training.
        split: the images of the batches.
        recipe: recipe of the training.
        seed: seed of the training.

    Raises:
        ImageError: a picture can't be read any more.
    """
    if not augmentation_words(recipe):
        return NOT_AUGMENTED
    chosen = evenly_by_class(split.labels, SAMPLES)
    order = torch.from_numpy(chosen)
    batchwise = Augmentation(recipe.augment, recipe.flips, len(split), seed)
    epochs = []
    for epoch in range(1, EPOCHS + 1):
        images, _ = next(iter(train.walk(order, len(order), epoch)))
        generator = torch.Generator().manual_seed(seed_of_image(seed, epoch, -1))
        epochs.append(batchwise(images, order, epoch, generator).cpu().numpy())
    changed = np.stack(epochs, axis=1)
    originals = split.store.read(chosen)
    samples = [
        AugmentedSample(split.class_names[split.labels[index]], split.ids[index], original, seen)
        for index, original, seen in zip(chosen, originals, changed, strict=True)
    ]
    return Augmented(samples, augmentation_words(recipe))
