"""What an epoch consists of: its seed, the order of its images, their batches and their weights."""

from copy import deepcopy

import torch
from torch import Tensor, nn

from torchstone_train.data.batch_plan import plan_batches
from torchstone_train.run.run_dir import Weights
from torchstone_train.training.class_balance import are_balanced, balanced_order, balanced_weights
from torchstone_train.training.task import TrainingTask
from torchstone_train.training.trained_part import TrainedPart


def plan_epoch(task: TrainingTask, trained: TrainedPart) -> list[int]:
    """Return the sizes of an epoch's batches on this process.

    Raises:
        UsageError, DataError: as of `plan_batches`.
    """
    world = task.world
    share = len(world.share(torch.arange(len(task.train)), even=True))
    image, _ = next(iter(task.train.walk(torch.zeros(1, dtype=torch.int64), 1)))
    size = task.recipe.batch_size // world.size
    return plan_batches(
        share, size, task.model, image, world.size, lambda model: trained.set_mode(model.get_submodule("network"))
    )


def class_weights(task: TrainingTask) -> Tensor | None:
    """Return the weights of the classes in the loss; None where all weigh the same."""
    if not are_balanced(task.recipe.class_weights, task.labels):
        return None
    return balanced_weights(task.labels, len(task.class_names)).to(task.device)


def epoch_order(task: TrainingTask, generator: torch.Generator) -> Tensor:
    """Return the indices of the images of an epoch, in its order."""
    if task.recipe.sampler == "balanced":
        return balanced_order(task.labels, generator)
    return torch.randperm(len(task.train), generator=generator)


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> torch.Generator:
    """Seed PyTorch's global generators (dropout) for an epoch; return one for shuffling and augmentation.

    The shuffling is the same for every rank of several processes, dropout is each one's own.
    """
    mixed = seed * 1_000_003 + epoch
    torch.manual_seed(mixed + rank * 250_000)
    return torch.Generator().manual_seed(mixed + 500_000)


def copy_weights(network: nn.Module) -> Weights:
    """Return a copy of a network's state on the CPU."""
    return {name: deepcopy(tensor.detach().cpu()) for name, tensor in network.state_dict().items()}
