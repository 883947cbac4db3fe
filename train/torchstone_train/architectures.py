"""Networks by name: each takes normalised float images (N, C, H, W) and returns logits (N, K)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import nn

from torchstone_runtime.errors import UsageError, suggestion


@dataclass(frozen=True, slots=True)
class ModelShape:
    """What a network is built for: images (channels, height, width) and the number of classes."""

    channels: int
    height: int
    width: int
    num_classes: int


Builder = Callable[[ModelShape], nn.Module]


def cnn3(shape: ModelShape) -> nn.Module:
    """Three 3x3 convolutions of 32, 64 and 128 filters, each with ReLU and 2x2 max-pooling; dense 256; dropout 0.5.

    On 28x28 images the last feature map is 128 x 3 x 3.

    Raises:
        UsageError: the images are smaller than 8 x 8, so that nothing would remain after three poolings.
    """
    height, width = shape.height // 8, shape.width // 8
    if height < 1 or width < 1:
        raise UsageError(f"cnn3 needs images of at least 8 x 8, not {shape.height} x {shape.width}.")
    layers: list[nn.Module] = []
    channels = shape.channels
    for filters in (32, 64, 128):
        layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = filters
    layers += [nn.Flatten(), nn.Linear(channels * height * width, 256), nn.ReLU(), nn.Dropout(0.5)]
    return nn.Sequential(*layers, nn.Linear(256, shape.num_classes))


ARCHITECTURES: Final[dict[str, Builder]] = {"cnn3": cnn3}


def build_network(architecture: str, shape: ModelShape) -> nn.Module:
    """Build a network with fresh weights.

    Raises:
        UsageError: no architecture of that name, or the images are too small for it.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"There is no architecture '{architecture}'.", suggestion(architecture, ARCHITECTURES))
    return ARCHITECTURES[architecture](shape)
