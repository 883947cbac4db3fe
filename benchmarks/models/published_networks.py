"""Networks of published Fashion-MNIST results, rebuilt to be timed beside ours; their accuracies are as published.

Weights are random: they don't change the speed. Figures from before the data was cleaned (31 August 2017) are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from torchstone_train.networks.residual import Stage, convolutions


@dataclass(frozen=True, slots=True)
class Published:
    """A published result.

    Attributes:
        name: short.
        accuracy: on the test split, 0 to 1.
        source: where it is stated.
        build: the network, for images 1 x 28 x 28.
    """

    name: str
    accuracy: float
    source: str
    build: Callable[[], nn.Module]


def tutorial() -> nn.Module:
    """Two 5x5 convolutions of 32 and 64 filters with pooling, dense 1024."""
    features = [*_pooled(1, 32, 5), *_pooled(32, 64, 5), nn.Flatten()]
    return nn.Sequential(*features, nn.Linear(3136, 1024), nn.ReLU(), nn.Linear(1024, 10))


def three_convolutions() -> nn.Module:
    """Three 3x3 convolutions of 64, 128 and 256 filters with batch norm and pooling, the mean, a linear layer."""
    layers: list[nn.Module] = []
    for filters, before in ((64, 1), (128, 64), (256, 128)):
        layers += [nn.Conv2d(before, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


def resnet_20() -> nn.Module:
    """Three stages of 16, 32 and 64 filters with three residual blocks each (K. He et al., arXiv 1512.03385)."""
    # Each later stage's first block is here a strided convolution and a whole block: a little more work than his.
    stages = (Stage(16, 3, 1), Stage(32, 3, 2), Stage(64, 3, 2))
    return nn.Sequential(*convolutions(1, stages), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def vgg8b() -> nn.Module:
    """Six 3x3 convolutions of 128 to 512 filters with batch norm, dense 1024."""
    layers: list[nn.Module] = []
    before = 1
    for filters, pool in ((128, False), (256, True), (256, False), (512, True), (512, True), (512, True)):
        layers += [nn.Conv2d(before, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if pool else []
        before = filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 1024), nn.ReLU(), nn.Linear(1024, 10))


def _pooled(before: int, filters: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(before, filters, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)]


PUBLISHED = (
    Published("TensorFlow's tutorial", 0.916, "README of zalandoresearch/fashion-mnist", tutorial),
    Published("3 convolutions, tuned", 0.9476, "model card of tsilva/fashion-mnist-classifier-cnn", three_convolutions),
    Published("ResNet-20", 0.9518, "zhunzhong07/Random-Erasing, issue 10", resnet_20),
    Published("ResNet-20 + RE", 0.9555, "zhunzhong07/Random-Erasing, issue 10", resnet_20),
    Published("VGG8B", 0.9547, "README of anokland/local-loss", vgg8b),
)
