"""Networks for photographs, as torchvision has them, for gray pictures of 28 x 28.

The picture is framed to 32 x 32 and repeated in three channels, so that every network but the transformer is the
published one with another last layer. The transformer has patches of 4 pixels, 6 layers and 128 features.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from torch import Tensor, nn
from torchvision import models

from torchstone_train.networks.shape import ModelShape

SIDE: Final = 32


class Framed(nn.Module):
    """A network for colour pictures of 32 x 32 behind a frame and three equal channels.

    Args:
        network: network that takes (N, 3, 32, 32).
        shape: shape of the gray pictures.
    """

    def __init__(self, network: nn.Module, shape: ModelShape) -> None:
        super().__init__()
        rows, columns = SIDE - shape.height, SIDE - shape.width
        self.frame = nn.ZeroPad2d((columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of normalised images (N, 1, h, w)."""
        logits: Tensor = self.network(self.frame(images).expand(-1, 3, -1, -1))
        return logits


def _torchvisions(build: Callable[..., nn.Module], shape: ModelShape) -> nn.Module:
    return Framed(build(weights=None, num_classes=shape.num_classes), shape)


def resnet18(shape: ModelShape) -> nn.Module:
    """Return ResNet-18."""
    return _torchvisions(models.resnet18, shape)


def resnet50(shape: ModelShape) -> nn.Module:
    """Return ResNet-50."""
    return _torchvisions(models.resnet50, shape)


def mobilenet_v3_small(shape: ModelShape) -> nn.Module:
    """Return the small MobileNet of the third version.

    The statistics of batch norm follow ten times as fast as published: a short training would not fill them.
    """
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.1)
    return _torchvisions(partial(models.mobilenet_v3_small, norm_layer=norm), shape)


def efficientnet_b0(shape: ModelShape) -> nn.Module:
    """Return EfficientNet-B0."""
    return _torchvisions(models.efficientnet_b0, shape)


def convnext_tiny(shape: ModelShape) -> nn.Module:
    """Return the tiny ConvNeXt."""
    return _torchvisions(models.convnext_tiny, shape)


def vit(shape: ModelShape) -> nn.Module:
    """Return a vision transformer of 6 layers with patches of 4 pixels."""
    sizes = {"image_size": SIDE, "patch_size": 4, "num_layers": 6, "num_heads": 4, "hidden_dim": 128, "mlp_dim": 512}
    return Framed(models.VisionTransformer(num_classes=shape.num_classes, **sizes), shape)


NETWORKS: Final = (resnet18, resnet50, mobilenet_v3_small, efficientnet_b0, convnext_tiny, vit)
