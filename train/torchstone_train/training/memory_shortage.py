"""What is said where the memory of a device does not hold a training: the largest batch that fits, found by trying."""

from collections.abc import Callable
from typing import Final

import torch

from torchstone_runtime.errors import UsageError, first_line
from torchstone_train.compute.shortage import is_shortage

_OTHERS: Final = " Others may use the same GPU: nvidia-smi shows them."
_SPARE: Final = 8
"""Images of a batch for each further one that must fit as well."""


def shortage_in(action: Callable[[], None]) -> str | None:
    """Do something; return what PyTorch says where there was not enough memory for it, and None where there was.

    On return the error, which holds on to all that filled the memory, is gone.
    """
    try:
        action()
    except RuntimeError as error:
        if not is_shortage(error):
            raise
        return first_line(error)
    return None


def largest_fitting(trial: Callable[[int], None], size: int) -> int:
    """Return the largest batch, of a half, a quarter and so on of one that didn't fit, whose step does; 0 for none.

    It is tried with an eighth more images: a training that begins with it finds the memory divided otherwise.

    Args:
        trial: computes loss and gradients of a batch of so many images, and raises an error that `is_shortage`
            where they don't fit.
        size: images of the batch that didn't fit.
    """
    while (size := size // 2) > 0:
        if _fits(trial, size + size // _SPARE):
            return size
    return 0


def batch_error(said: str, device: torch.device, batch: int, fitting: int | None) -> UsageError:
    """Return the error for a batch that doesn't fit.

    Args:
        said: message of PyTorch.
        device: device of the training.
        batch: images of the batch, of all processes together.
        fitting: images that fit, of all processes together; 0 where not one does, None where it was not tried.
    """
    problem = f"A batch of {batch:,} images does not fit into the memory of {_name(device)}: {said}"
    others = _OTHERS if device.type == "cuda" else ""
    if fitting is None:
        return UsageError(problem, f"Try half of it: --batch-size {max(1, batch // 2)}.{others}")
    if fitting == 0:
        return UsageError(problem, f"Not even one image fits. Choose a smaller network or --image-size.{others}")
    same = f"--set accumulate={batch // fitting} beside it makes updates of as many images as before."
    return UsageError(problem, f"{fitting:,} images fit: --batch-size {fitting}. {same}{others}")


def _fits(trial: Callable[[int], None], size: int) -> bool:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        trial(size)
    except RuntimeError as error:
        if is_shortage(error):
            return False
        raise
    return True


def _name(device: torch.device) -> str:
    if device.type != "cuda" or not torch.cuda.is_available():
        return f"the device '{device}'"
    gigabytes = torch.cuda.get_device_properties(device).total_memory / 1e9
    return f"{torch.cuda.get_device_name(device)} ({gigabytes:.0f} GB)"
