"""Where to train, and why there. Asking for a GPU and not getting it is an error."""

import os
from typing import Final

import torch

from torchstone_runtime.errors import ProviderError, UsageError, first_line, suggestion
from torchstone_runtime.system.cpu import usable_cpus

_DEVICES: Final = ("auto", "cpu", "cuda", "mps")
_CALLED_ELSEWHERE: Final = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "apple": "mps"}


def choose_device(wanted: str) -> tuple[torch.device, str]:
    """Return the device for `auto`, `cpu`, `cuda` or `mps` (Apple GPU), and the reason for a person.

    `auto` takes CUDA or the CPU: training on an Apple GPU has to be asked for, as it was never run here.

    Raises:
        ProviderError: `cuda` or `mps` was asked for and is not usable; the message says what is missing.
        UsageError: another name.
    """
    if wanted == "cpu":
        return torch.device("cpu"), "asked for"
    if wanted == "mps":
        return _apple_gpu()
    if wanted not in _DEVICES:
        raise UsageError(f"There is no device '{wanted}'.", suggestion(wanted, _DEVICES, _CALLED_ELSEWHERE))
    obstacle = cuda_obstacle()
    if obstacle is None:
        return torch.device("cuda"), f"{torch.cuda.get_device_name()} is usable"
    if wanted == "cuda":
        raise ProviderError(
            f"--device cuda was asked for, but {obstacle}.",
            "'torchstone doctor' says what driver and libraries are there. Use --device cpu to train without a GPU.",
        )
    return torch.device("cpu"), f"{obstacle}; {usable_cpus()} processors"


def _apple_gpu() -> tuple[torch.device, str]:
    if obstacle := mps_obstacle():
        raise ProviderError(f"--device mps was asked for, but {obstacle}.", "Use --device cpu to train without a GPU.")
    return torch.device("mps"), "asked for"


def mps_obstacle() -> str | None:
    """Return why Apple's Metal Performance Shaders can't be used, or None where a computation with them succeeds."""
    if not torch.backends.mps.is_built():
        return f"the installed PyTorch {torch.__version__} is built without MPS: it needs macOS on an Apple processor"
    if not torch.backends.mps.is_available():
        return f"PyTorch {torch.__version__} finds no Apple GPU that it can use, or this macOS is too old for it"
    try:
        torch.ones(1, device="mps").add_(1).item()
    except RuntimeError as error:
        return f"the GPU does not compute: {first_line(error)}"
    return None


def cuda_obstacle() -> str | None:
    """Return why CUDA can't be used, or None where a computation on the GPU succeeds."""
    if torch.version.cuda is None:
        return f"the installed PyTorch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return f"PyTorch {torch.__version__} finds no usable NVIDIA GPU"
    try:
        torch.ones(1, device="cuda").add_(1).item()
    except RuntimeError as error:  # a driver too old, a device in use by others, no kernel for this GPU
        return f"the GPU does not compute: {first_line(error)}"
    return None


def set_determinism(*, wanted: bool) -> None:
    """Make the same seed give the same weights on the same machine, or let a GPU choose its fastest kernels.

    On the CPU, results are the same either way. On a GPU, determinism rules out some kernels and the search for the
    fastest convolution (see "Reproducibility" in PyTorch's notes). `torch_settings.usual_settings` gives back what was
    set before.
    """
    # cuBLAS asks for this before its first use.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    # Filling every new tensor costs time, and nothing here reads one before it is written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch has no stub
    torch.backends.cudnn.benchmark = not wanted
