"""Whether `torch.compile` works on a device, and what is said where it doesn't."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

import torch

from torchstone_runtime.errors import ProviderError, TorchstoneError, UsageError, first_line
from torchstone_train.compute.shortage import is_shortage
from torchstone_train.recipes.recipe import CompileName

_NEEDED: Final = {
    "cpu": "On processors PyTorch needs a C++ compiler, such as g++, in the PATH or named by CXX, and Python's headers "
    "(Debian, Ubuntu: apt install g++ python3-dev).",
    "cuda": "On NVIDIA GPUs PyTorch needs Triton (pip install triton), a C compiler such as gcc in the PATH, and "
    "Python's headers (Debian, Ubuntu: apt install gcc python3-dev).",
}

_MEANT: Final = "Explanation: "


def require_compiler(mode: CompileName, device: torch.device, *, deterministic: bool) -> None:
    """Compile a small function, so that a missing compiler is noticed before anything else is done.

    Args:
        mode: mode of the recipe; nothing is done for `off`.
        device: device of the training.
        deterministic: whether the same seed must give the same weights.

    Raises:
        UsageError: the mode contradicts `deterministic`, or the device is an Apple GPU.
        ProviderError: nothing can be compiled; the message says why, and what is needed.
    """
    if mode == "off":
        return
    if device.type == "mps":
        raise UsageError("--compile has not been tried on Apple GPUs.", "Leave it out.")
    if mode == "max-autotune" and deterministic:
        raise UsageError(
            "--compile max-autotune takes the kernels that were fastest when it tried them, so that two trainings may "
            "differ.",
            "Give --no-deterministic with it, or take --compile default.",
        )
    try:
        with quiet():
            _try(device)
    except Exception as error:  # a compiler fails in as many ways as there are machines
        raise ProviderError(
            f"--compile {mode} was asked for, but PyTorch cannot compile on this machine: {_reason(error)}.",
            f"{_NEEDED[device.type]}\nOr leave --compile out: the same training, not compiled.",
        ) from error


@contextmanager
def compiling(mode: CompileName) -> Iterator[None]:
    """Turn what fails while a network is compiled into one message; an error of Torchstone's own passes.

    Raises:
        UsageError: the network cannot be compiled.
        RuntimeError: there was not enough memory, see `shortage.is_shortage`.
    """
    try:
        with quiet():
            yield
    except TorchstoneError:
        raise
    except Exception as error:
        # What is within comes first: the error around it repeats its words below a heading.
        for cause in (getattr(error, "inner_exception", None), error):
            if isinstance(cause, RuntimeError) and is_shortage(cause):
                raise cause from None
        raise UsageError(
            f"torch.compile failed for this network: {_reason(error)}.",
            f"Leave --compile {mode} out: the network is then trained without it.",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep from a person what PyTorch remarks while it compiles."""
    remarks = logging.getLogger("torch.utils.cpp_extension")  # that there is a CUDA toolkit and no GPU
    level = remarks.level
    remarks.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # docs/reference/cli.md says where TF32 is used.
            warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores")
            yield
    finally:
        remarks.setLevel(level)


@cache
def _try(device: torch.device) -> None:
    def doubled(values: torch.Tensor) -> torch.Tensor:
        return (values * 2).sum()

    total = torch.compile(doubled)(torch.ones(64, device=device, requires_grad=True))
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _reason(error: BaseException) -> str:
    said = getattr(error, "inner_exception", None) or error
    lines = [line.strip() for line in str(said).splitlines()]
    # What a C compiler says stands below its long command line, and what TorchDynamo means below a heading.
    compiler = next((line for line in lines if "error: " in line), None)
    meant = [line.removeprefix(_MEANT) for line in lines if line.startswith(_MEANT)]
    return (compiler or ": ".join([first_line(said), *meant[:1]])).rstrip(".")
