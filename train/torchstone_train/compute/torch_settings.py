"""PyTorch's settings of a new process: what the caller's process has set must not reach a run or a bundle."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import torch

from torchstone_runtime.errors import UsageError
from torchstone_runtime.system.cpu import usable_cpus

_USUAL: Final[tuple[tuple[Any, dict[str, object]], ...]] = (
    (torch.backends.cudnn, {"enabled": True, "benchmark": False, "deterministic": False, "allow_tf32": True}),
    (torch.backends.mkldnn, {"enabled": True}),
    (torch.utils.deterministic, {"fill_uninitialized_memory": True}),
)
"""Values of a new process: flags that a trace writes down, whether oneDNN computes, and what a training sets, too."""
_PRODUCTS: Final = (
    *(getattr(torch.backends.mkldnn, kind) for kind in ("matmul", "conv", "rnn")),
    torch.backends.cuda.matmul,
)
"""What computes in float32 alone where its `fp32_precision` is "ieee", or "none" and nothing above it says otherwise.

`torch.set_float32_matmul_precision("medium")` lets a processor with AMX or AVX-512 BF16 multiply in bfloat16: a
reference computed so would be a certificate of something else, and the same seed would train other weights.
"""


@dataclass(slots=True)
class _Process:
    """What is known of this process: whose turn it is, whether it has computed, and whether it can."""

    turn: threading.RLock = field(default_factory=threading.RLock)
    has_computed: bool = False
    lacks_threads: bool = False


_process = _Process()


@contextmanager
def usual_settings(*, traced: bool = False) -> Iterator[None]:
    """Compute as a new process would, and give the caller's settings and random state back afterwards.

    Covers deterministic algorithms, the flags of cuDNN and oneDNN, autocast, gradients, default dtype, default device,
    and the state of PyTorch's generators on the CPU and on NVIDIA GPUs. Most of them belong to the whole process, so
    another thread that comes here waits until the block of the first has ended.

    Args:
        traced: whether a trace may write down on which device a tensor is made: it then always does.

    Raises:
        UsageError: the process was forked from one that has been here, whose threads it would wait for without end.
    """
    if _process.lacks_threads:
        raise UsageError(
            "This process was forked from one that has trained or exported, and has none of PyTorch's threads.",
            "Start processes by spawn: multiprocessing.get_context('spawn').",
        )
    with ExitStack() as opened:
        opened.enter_context(_process.turn)
        _process.has_computed = True
        _keep_random_state(opened)
        _take_usual_algorithms(opened)
        for owner, values in _USUAL:
            _set_until_closed(opened, owner, values)
        _take_usual_products(opened)
        # A default device costs each of PyTorch's functions a way through Python: a training has none if it can.
        if traced or torch.get_default_device().type != "cpu":
            opened.enter_context(torch.device("cpu"))
        _take_usual_tensors(opened)
        yield


def _keep_random_state(opened: ExitStack) -> None:
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    opened.callback(_give_back_random_state, torch.get_rng_state(), on_gpus)


def _give_back_random_state(on_cpu: torch.Tensor, on_gpus: list[torch.Tensor] | None) -> None:
    torch.set_rng_state(on_cpu)
    if on_gpus is not None:
        torch.cuda.set_rng_state_all(on_gpus)
    elif torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # meanwhile, with the seed of the CPU
        torch.cuda.manual_seed_all(torch.initial_seed())


def _take_usual_algorithms(opened: ExitStack) -> None:
    opened.callback(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(mode=False)


def _take_usual_products(opened: ExitStack) -> None:
    with suppress(RuntimeError):  # PyTorch says nothing where both the older and the newer way to choose were used
        precision = torch.get_float32_matmul_precision()
        if precision != "highest":
            opened.callback(torch.set_float32_matmul_precision, precision)
            torch.set_float32_matmul_precision("highest")
    for product in _PRODUCTS:
        if product.fp32_precision not in {"none", "ieee"}:
            opened.callback(_give_back_precision, product, product.fp32_precision)
            product.fp32_precision = "ieee"


def _give_back_precision(product: Any, precision: str) -> None:  # noqa: ANN401 - PyTorch has no type for it
    product.fp32_precision = "none"
    if product.fp32_precision != precision:  # it was its own, and not that of all backends
        product.fp32_precision = precision


def _take_usual_tensors(opened: ExitStack) -> None:
    opened.callback(torch.set_default_dtype, torch.get_default_dtype())
    torch.set_default_dtype(torch.float32)
    for device in ("cpu", "cuda"):
        opened.enter_context(torch.autocast(device, enabled=False))
    opened.enter_context(torch.inference_mode(mode=False))
    opened.enter_context(torch.enable_grad())


def _set_until_closed(opened: ExitStack, owner: object, values: dict[str, object]) -> None:
    for name, value in values.items():
        opened.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)


def _begin_child() -> None:
    # The thread that had the turn may not be in the child, and OpenMP's threads, of which it knows, never are.
    global _process  # noqa: PLW0603 - a process has one
    _process = _Process(lacks_threads=_process.lacks_threads or (_process.has_computed and usable_cpus() > 1))


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_begin_child)
