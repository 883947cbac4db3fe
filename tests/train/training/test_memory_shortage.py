import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.gpu.memory import message_and_fit
from benchmarks.gpu.setting import Setting
from helpers.traced import leave_out_machine_code
from torchstone_runtime.errors import UsageError
from torchstone_train.training.memory_shortage import largest_fitting

Fit = Callable[..., object]


class Large(nn.Module):
    """A network that says what CUDA says where more images are trained on at once than its memory holds."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(100, 3))
        self.holds = holds

    def forward(self, images: Tensor) -> Tensor:
        if self.training and len(images) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nSee documentation")
        logits: Tensor = self.layers(images)
        return logits


def test_the_message_names_the_largest_batch_that_fits(fit: Fit) -> None:
    """Found by trying halves, not guessed; with the way to keep updates as they are."""
    with pytest.raises(UsageError) as caught:
        fit(network=Large(5), batch_size=16)

    assert caught.value.problem.startswith("A batch of 16 images does not fit into the memory of")
    assert "20.00 GiB" in caught.value.problem
    assert "--batch-size 4." in caught.value.remedy
    assert "accumulate=4" in caught.value.remedy


def test_a_batch_that_does_not_fit_is_told_of_compiled_steps_too(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first steps are those of the compilation, which is not blamed for it."""
    leave_out_machine_code(monkeypatch)
    with pytest.raises(UsageError) as caught:
        fit(network=Large(5), batch_size=16, compile="default")

    assert caught.value.problem.startswith("A batch of 16 images does not fit into the memory of")
    assert "--batch-size 4." in caught.value.remedy


def test_where_not_one_image_fits_no_batch_size_is_named(fit: Fit) -> None:
    """A batch of 0 is no advice."""
    with pytest.raises(UsageError) as caught:
        fit(network=Large(0), batch_size=16)

    assert "Not even one image fits" in caught.value.remedy
    assert "--batch-size" not in caught.value.remedy


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's memory is Linux's")
@pytest.mark.slow
def test_a_real_shortage_of_memory_names_a_batch_that_trains(tmp_path: Path) -> None:
    """PyTorch's allocator fails in a process whose memory is limited, and no longer does with the batch it names."""
    found = message_and_fit(Setting("cpu", True, tmp_path, tmp_path, tmp_path, tmp_path), "sprint-mnist", 256)  # noqa: FBT003

    assert found["exit_code"] == 2, found["said"]
    assert "Cannot allocate memory" in found["said"]
    assert "nvidia-smi" not in found["said"]
    assert 0 < found["named"] < 256
    assert found["then_exit_code"] == 0, found["then_said"]


def test_a_trial_that_fails_for_another_reason_is_no_answer() -> None:
    """A fault of the network must not look like a batch that is too large."""

    def trial(_: int) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        largest_fitting(trial, 8)
