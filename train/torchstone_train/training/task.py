"""What a training is given and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from torchstone_runtime.arrays import Int64Array
from torchstone_train.compute.distributed import World
from torchstone_train.compute.precision import Precision
from torchstone_train.data.batches import Batches
from torchstone_train.networks.image_classifier import ImageClassifier
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.training.observer import Record
from torchstone_train.training.stopping import StopReason
from torchstone_train.training.validate import NetworkAnswers


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What is to be fitted, on what, and where.

    Attributes:
        recipe: the resolved recipe.
        seed: seed of initial weights, shuffling, augmentation and dropout.
        class_names: names of the classes, in the order of the labels.
        model: model on `device`, with its initial weights.
        train, validation: the batches, on `device`.
        precision: precision of the forward pass in training; validation runs in float32, as the exported model will.
        world: the processes that train together.
        labels: labels of the training images, int64 (n), on the CPU, for class weights and the balanced sampler.
        pretrained: whether the model begins with pretrained weights.
        featured: indices of the validation images whose penultimate features are kept, ascending, int64.
        teacher: uint8 images (N, C, H, W) to logits (N, K) that are learnt beside the labels.
    """

    recipe: Recipe
    seed: int
    class_names: tuple[str, ...]
    model: ImageClassifier
    train: Batches
    validation: Batches
    device: torch.device
    precision: Precision
    labels: Tensor
    world: World = field(default_factory=World)
    teacher: Callable[[Tensor], Tensor] | None = None
    pretrained: bool = False
    featured: Int64Array = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


@dataclass(slots=True)
class Outcome:
    """How a training ended.

    Attributes:
        stop_reason: reason for the end.
        best_epoch: number of the epoch whose weights are in `best.safetensors`; 0 where they are of none.
        best: its validation figures, or those of the weights kept.
        history: records of the epochs, one per epoch.
        detail: further words for a person; empty where there is nothing to add.
        answers: answers of the weights that were kept to the validation images; None where no single pass saw them all,
            as with several processes, or before a run was resumed.
        is_beginning: whether the weights that were kept are those with a fitted last layer that the training began
            with, which no epoch reached.
    """

    stop_reason: StopReason
    best_epoch: int
    best: Mapping[str, Any] | None
    history: list[Record]
    detail: str = ""
    answers: NetworkAnswers | None = None
    is_beginning: bool = False
