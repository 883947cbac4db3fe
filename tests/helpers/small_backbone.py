"""A network as a package would ship it, small enough for tests: `helpers.small_backbone:build`."""

import torch
from torch import Tensor, nn


class SmallBackbone(nn.Module):
    """Two stages of convolution and batch norm, and a last layer of 7 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.classifier = nn.Linear(6, 7)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 7)."""
        logits: Tensor = self.classifier(self.body(self.stem(images)).mean((2, 3)))
        return logits


def build(*, pretrained: bool = True) -> nn.Module:
    """Return the network; its pretrained weights are those of a seed."""
    network = SmallBackbone()
    if pretrained:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network


def two_heads() -> nn.Module:
    """Return a network whose output is the mean of two layers'."""

    class TwoHeads(SmallBackbone):
        def __init__(self) -> None:
            super().__init__()
            self.other = nn.Linear(6, 7)

        def forward(self, images: Tensor) -> Tensor:
            features = self.body(self.stem(images)).mean((2, 3))
            logits: Tensor = (self.classifier(features) + self.other(features)) / 2
            return logits

    return TwoHeads()


def averaged() -> nn.Module:
    """Return a network that averages the maps of its last layer: it has no features of one vector an image."""

    class Averaged(SmallBackbone):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = nn.Conv2d(6, 7, 1)  # type: ignore[assignment]

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.classifier(self.body(self.stem(images))).mean((2, 3))
            return logits

    return Averaged()


def fails() -> nn.Module:
    """Raise what an owner's code may raise."""
    raise RuntimeError("no such checkpoint")


def uncompilable(*, pretrained: bool = True) -> nn.Module:
    """Return a network with an operation that runs and can't be traced: its results have no shapes beforehand."""

    class Uncompilable(SmallBackbone):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = super().forward(_untraceable(images))
            return logits

    del pretrained
    return Uncompilable()


@torch.library.custom_op("torchstone_tests::untraceable", mutates_args=())
def _untraceable(images: Tensor) -> Tensor:
    return images.clone()


@_untraceable.register_fake
def _(images: Tensor) -> Tensor:
    raise ValueError(f"no shapes for this: {images.ndim} axes")
