"""`torch.compile` without machine code, whose making takes a C++ compiler up to half a minute."""

from typing import Any

import pytest
import torch


def leave_out_machine_code(patch: pytest.MonkeyPatch) -> None:
    """Let `torch.compile` trace, differentiate and guard a network as ever, and then run its operations one by one."""
    real = torch.compile

    def traced(function: Any, *, dynamic: bool | None = None, **_: object) -> Any:  # noqa: ANN401 - as torch's own
        return real(function, backend="aot_eager", dynamic=dynamic)

    patch.setattr(torch, "compile", traced)
