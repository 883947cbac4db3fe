"""Where to train: what is asked for is used, or one message says why not."""

import pytest
import torch

from torchstone_runtime.errors import ProviderError, UsageError
from torchstone_train.compute import device
from torchstone_train.compute.device import choose_device
from torchstone_train.compute.distributed import joined_world
from torchstone_train.compute.precision import choose_precision
from torchstone_train.recipes.recipe import AmpName


@pytest.mark.skipif(torch.backends.mps.is_built(), reason="this PyTorch has MPS")
def test_mps_where_pytorch_lacks_it_is_refused() -> None:
    """The message says what is missing; nothing falls back to the CPU."""
    with pytest.raises(ProviderError, match=r"--device mps was asked for, but .* built without MPS"):
        choose_device("mps")


def test_mps_without_a_usable_gpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A macOS wheel on a machine, or in a virtual one, whose GPU PyTorch can't use."""
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ProviderError, match="finds no Apple GPU"):
        choose_device("mps")


def test_mps_is_taken_where_it_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Mac is at hand: the look at the GPU is replaced."""
    monkeypatch.setattr(device, "mps_obstacle", lambda: None)

    assert choose_device("mps") == (torch.device("mps"), "asked for")


def test_a_device_that_does_not_exist_is_refused() -> None:
    """The nearest name is suggested."""
    with pytest.raises(UsageError, match="no device 'mpx'"):
        choose_device("mpx")


@pytest.mark.parametrize("wanted", ["auto", "bf16", "fp16", "off"])
def test_an_apple_gpu_trains_in_float32(wanted: AmpName) -> None:
    """Whatever is asked for, and the context of the forward pass can be entered."""
    chosen = choose_precision(wanted, torch.device("mps"))
    with chosen.autocast():
        assert chosen.name == "off"


def test_an_apple_gpu_is_not_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun, with more processes than one."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process only"), joined_world(torch.device("mps")):
        pass
