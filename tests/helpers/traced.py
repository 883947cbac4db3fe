"""`torch.compile` without machine code, whose making takes a C++ compiler up to half a minute."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    import pytest


def leave_out_machine_code(patch: "pytest.MonkeyPatch") -> None:
    """Let `torch.compile` trace, differentiate and guard a network as ever, and then run its operations one by one."""
    patch.setattr(torch, "compile", without_machine_code(torch.compile))


def without_machine_code(real: Callable[..., Any]) -> Callable[..., Any]:
    """Return that `torch.compile`, of PyTorch's own."""

    def traced(function: Any, *, dynamic: bool | None = None, **_: object) -> Any:  # noqa: ANN401 - as torch's own
        return real(function, backend="aot_eager", dynamic=dynamic)

    return traced
