"""The share of depthwise convolutions in a network's work, and what it means for mixed precision."""

import pytest
import torch
from torch import nn
from torchvision import models

from torchstone_runtime.system.cpu import BF16_FEATURES
from torchstone_train.compute.depthwise import depthwise_share
from torchstone_train.compute.precision import choose_precision

CPU = torch.device("cpu")


def test_the_share_is_that_of_the_multiplications() -> None:
    """9 a pixel and channel, of 9 and 4: each of the 4 channels has a filter of its own, then they are mixed."""
    network = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1))
    assert depthwise_share(network, torch.zeros(1, 4, 5, 5)) == pytest.approx(9 / 13)


def test_groups_of_several_channels_and_linear_layers_are_none() -> None:
    """A grouped convolution is no depthwise one."""
    network = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Flatten(), nn.Linear(36, 2))
    assert depthwise_share(network, torch.zeros(1, 4, 5, 5)) == 0


def test_the_mode_of_the_network_stays() -> None:
    """Batch norm of one image would fail in training mode."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).train()
    depthwise_share(network, torch.zeros(1, 1, 1, 1))
    assert network.training


@pytest.mark.parametrize(("name", "expected"), [("mobilenet_v3_small", None), ("resnet18", torch.bfloat16)])
def test_auto_is_float32_where_depthwise_convolutions_are_much_of_the_work(
    name: str, expected: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor with bfloat16 instructions."""
    monkeypatch.setattr("torchstone_train.compute.precision.cpu_features", lambda: frozenset(BF16_FEATURES))
    share = depthwise_share(models.get_model(name, num_classes=3), torch.zeros(1, 3, 64, 64))
    assert choose_precision("auto", CPU, lambda: share).dtype is expected
    assert choose_precision("bf16", CPU, lambda: share).dtype is torch.bfloat16
