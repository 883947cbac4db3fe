"""Networks that lose more in 8 bits than others."""

import torch
from torch import nn


def network_that_int8_ruins() -> nn.Module:
    """Its second convolution has huge weights on a channel that is always zero: no effect in float, no levels left."""
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3)
    with torch.no_grad():
        assert first.bias is not None
        first.bias[0] = -10
        second.weight[:, 0] = 200
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), nn.Linear(256, 3))
