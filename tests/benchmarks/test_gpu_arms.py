"""The sides of a comparison of speed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu import arms
from benchmarks.gpu.networks import CNN3, build
from benchmarks.gpu.setting import Setting


def test_each_network_is_compiled_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few networks PyTorch stops compiling, and says so in a log alone."""
    begun: list[str] = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: begun.append("reset"))
    monkeypatch.setattr(torch, "compile", lambda *_, **__: begun.append("compile"))
    setting = Setting("cpu", True, tmp_path, tmp_path, tmp_path, tmp_path)  # noqa: FBT003 - dry run
    arms.pytorch(setting, build(CNN3), np.zeros((1, 1, 28, 28), np.uint8), "fp32", "default")

    assert begun == ["reset", "compile"]
