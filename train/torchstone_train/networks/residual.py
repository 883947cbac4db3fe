"""Residual networks, and plain chains, in the shape that ONNX Runtime's convolutions like best.

On AVX-512 it keeps feature maps in blocks of 16 channels and fuses convolution, addition and ReLU, as long as channels
are multiples of 16 and nothing but convolutions, plain additions, ReLU and pooling lies between them
(onnxruntime/core/optimizer/nchwc_transformer.cc). Batch norm vanishes: export folds it into the convolutions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a network that works at one size.

    Attributes:
        filters: number of filters of all its convolutions; a multiple of 16 to be fast.
        blocks: residual blocks after the convolution that leads into it.
        stride: stride of that convolution; kernel: its size.
        plain: 3x3 convolutions without a shortcut after the blocks.
        pool: the size that its last maps' largest values are taken of; 1 leaves them as they are.
    """

    filters: int
    blocks: int
    stride: int
    kernel: int = 3
    plain: int = 0
    pool: int = 1


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch norm beside the identity; ReLU after the first and after the sum.

    The second batch norm begins with scale 0, so that a new block passes its input on (P. Goyal et al.,
    arXiv 1706.02677, section 5.1).
    """

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_conv_norm(filters, filters, 1), nn.ReLU())
        self.second = nn.Sequential(*_conv_norm(filters, filters, 1))
        nn.init.zeros_(cast("Tensor", self.second[1].weight))

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape (N, C, H, W)."""
        return torch.relu(features + self.second(self.first(features)))


def residual_network(channels: int, num_classes: int, stages: Sequence[Stage]) -> nn.Module:
    """Build a network for images of any size: stages, the mean over each feature map, and a linear layer.

    Args:
        channels: number of channels of the images.
        num_classes: K.
        stages: stages in order, from the image on.
    """
    features = convolutions(channels, stages)
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stages[-1].filters, num_classes))


def convolutions(channels: int, stages: Sequence[Stage]) -> list[nn.Module]:
    """Return the stages' layers, from images of so many channels to feature maps."""
    layers: list[nn.Module] = []
    for stage in stages:
        layers += [*_conv_norm(channels, stage.filters, stage.stride, stage.kernel), nn.ReLU()]
        layers += [ResidualBlock(stage.filters) for _ in range(stage.blocks)]
        for _ in range(stage.plain):
            layers += [*_conv_norm(stage.filters, stage.filters, 1), nn.ReLU()]
        if stage.pool > 1:
            layers.append(nn.MaxPool2d(stage.pool))
        channels = stage.filters
    return layers


def _conv_norm(channels: int, filters: int, stride: int, kernel: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, filters, kernel, stride=stride, padding=kernel // 2, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return [convolution, nn.BatchNorm2d(filters)]
