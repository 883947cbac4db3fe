"""PyTorch's settings of a new process: what the caller's process has set must not reach a bundle."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch

_USUAL: Final[tuple[tuple[Any, dict[str, object]], ...]] = (
    (torch.backends.cudnn, {"enabled": True, "benchmark": False, "deterministic": False, "allow_tf32": True}),
    (torch.backends.mkldnn, {"enabled": True}),
)
"""Flags that a trace writes down, with the values of a new process, and whether oneDNN computes."""
_KINDS: Final = ("matmul", "conv", "rnn")
"""What oneDNN computes in float32 alone where `torch.backends.mkldnn.KIND.fp32_precision` is "ieee".

`torch.set_float32_matmul_precision("medium")` lets a processor with AMX or AVX-512 BF16 multiply in bfloat16, and a
reference computed so would be a certificate of something else.
"""


@contextmanager
def usual_settings() -> Iterator[None]:
    """Compute as a new process would, and give the caller's settings back afterwards.

    Covers deterministic algorithms, the flags of cuDNN and oneDNN, autocast, default dtype and default device.
    """
    with ExitStack() as opened:
        _take_usual_algorithms(opened)
        for owner, values in _USUAL:
            _set_until_closed(opened, owner, values)
        for kind in _KINDS:
            _set_until_closed(opened, getattr(torch.backends.mkldnn, kind), {"fp32_precision": "ieee"})
        opened.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        opened.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            opened.enter_context(torch.autocast(device, enabled=False))
        yield


def _take_usual_algorithms(opened: ExitStack) -> None:
    opened.callback(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    torch.use_deterministic_algorithms(mode=False)


def _set_until_closed(opened: ExitStack, owner: object, values: dict[str, object]) -> None:
    for name, value in values.items():
        opened.callback(setattr, owner, name, getattr(owner, name))
        setattr(owner, name, value)
