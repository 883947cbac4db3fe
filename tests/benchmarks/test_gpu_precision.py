"""Speed of training: measured with the kernels that trainings choose."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu import precision
from benchmarks.gpu.setting import Setting
from torchstone_train.training.optimization import Optimization


def test_convolutions_are_the_fastest_ones_as_in_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the search for them a training is slower than it has to be."""
    searched = []
    step = Optimization.step

    def noted(*given: object) -> object:
        searched.append(torch.backends.cudnn.benchmark)
        return step(*given)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Optimization, "step", noted)
    setting = Setting("cpu", True, tmp_path, tmp_path, tmp_path, tmp_path)  # noqa: FBT003 - dry run
    precision.steps(setting)["sprint, batch 8, off, compiled off"]()

    assert set(searched) == {True}
