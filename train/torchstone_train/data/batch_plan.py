"""Into which batches an epoch's images are cut."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torchstone_runtime.errors import DataError, UsageError


def plan_batches(
    count: int,
    size: int,
    model: nn.Module,
    image: Tensor,
    processes: int = 1,
    set_mode: Callable[[nn.Module], object] = nn.Module.train,
) -> list[int]:
    """Return the sizes of an epoch's batches, in their order: all of `size`, but for a smaller last one.

    Where that would leave one image alone, and the model cannot be trained on one (batch norm over maps of 1 x 1 has
    a single value per channel), the image joins the batch before: the last one then has `size` + 1 images.

    Args:
        count: images of an epoch, of this process.
        size: images per step of this process.
        model: model as it will be trained; it is left as it is.
        image: one of its images, uint8 (1, C, H, W), on its device.
        processes: number of processes that train together, for the messages.
        set_mode: function that puts a model into the mode of its training.

    Raises:
        UsageError: the model cannot be trained on one image, and every batch would be one.
        DataError: the model cannot be trained on one image, and there is no other.
    """
    sizes = [size] * (count // size)
    if count % size:
        sizes.append(count % size)
    if sizes[-1] > 1 or trains_on_one_image(model, image, set_mode):
        return sizes
    if count == 1:
        raise _too_few_images(processes)
    if size == 1:
        raise UsageError(
            f"This network cannot be trained on one image at a time: its batch norm sees a single value per channel of "
            f"an image of {image.shape[2]} x {image.shape[3]}.",
            f"Choose a --batch-size of {2 * processes} or more.",
        )
    return [*sizes[:-2], size + 1]


@dataclass(frozen=True, slots=True)
class Window:
    """A batch's place in an update: its `share` of the update's images, and whether it `ends` the update."""

    share: float
    ends: bool


def update_windows(sizes: list[int], accumulate: int) -> list[Window]:
    """Return each batch's place in an update.

    Args:
        sizes: sizes of an epoch's batches, in their order.
        accumulate: batches per update; an epoch's last update may have fewer.
    """
    windows = []
    for start in range(0, len(sizes), accumulate):
        chunk = sizes[start : start + accumulate]
        windows += [Window(size / sum(chunk), place == len(chunk) - 1) for place, size in enumerate(chunk)]
    return windows


def trains_on_one_image(
    model: nn.Module, image: Tensor, set_mode: Callable[[nn.Module], object] = nn.Module.train
) -> bool:
    """Return whether a forward pass in training mode takes one image; the model is left as it is.

    Args:
        model: uint8 images (N, C, H, W) to logits.
        image: uint8 (1, C, H, W), on the model's device.
        set_mode: function that puts a model into the mode of its training.
    """
    # A copy, whose statistics may change. Random numbers are drawn as well, but every epoch seeds them anew.
    copy = deepcopy(model)
    set_mode(copy)
    try:
        with torch.no_grad():
            copy(image)
    except ValueError:  # how PyTorch's batch norm refuses a single value per channel
        return False
    return True


def _too_few_images(processes: int) -> DataError:
    share = "1 image to train on" if processes == 1 else f"1 image for each of {processes} processes to train on"
    fewer = "" if processes == 1 else ", or start fewer processes"
    return DataError(
        f"There is only {share}, and this network's batch norm needs 2 in a batch.",
        f"Add training images{fewer}, or choose a recipe without batch norm, such as cnn3.",
    )
