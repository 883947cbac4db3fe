"""The model as training and export share it: raw uint8 pixels in, logits out."""

from typing import Final, cast

import torch
from torch import Tensor, nn

from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.architectures import build_network
from torchstone_train.networks.shape import ModelShape

BACKBONE_CHANNELS: Final = 3


class ImageClassifier(nn.Module):
    """Normalisation and network in one module, so that export can't get the preprocessing wrong.

    Args:
        network: normalised float images (N, C, H, W) to logits (N, K).
        spec: its mean and std normalise the pixels.
        channels: channels that the network takes; gray images are repeated where it takes three. Those of `spec` if
            None.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, spec: InputSpec, channels: int | None = None) -> None:
        super().__init__()
        self.network = network
        self.channels = channels or spec.channels
        self._repeated = self.channels if self.channels != spec.channels else None
        mean = torch.tensor(spec.mean, dtype=torch.float64).reshape(1, -1, 1, 1)
        std = torch.tensor(spec.std, dtype=torch.float64).reshape(1, -1, 1, 1)
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("offset", (-mean / std).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of uint8 images (N, C, H, W)."""
        return cast("Tensor", self.network(self.normalised(images)))

    def normalised(self, images: Tensor) -> Tensor:
        """Return what the network is given, float32, of uint8 images (N, C, H, W)."""
        normalised = images.to(self.scale.dtype) * self.scale + self.offset
        return normalised if self._repeated is None else normalised.expand(-1, self._repeated, -1, -1)


def build_classifier(architecture: str, spec: InputSpec, num_classes: int, head: str = "") -> ImageClassifier:
    """Build a classifier with fresh weights.

    Args:
        architecture: name as for `build_network`, or of a backbone as for `open_backbone`.
        spec: input specification.
        num_classes: number of classes.
        head: last layer of a backbone, as its recipe records it; empty: the architecture is not a backbone.

    Raises:
        UsageError, DataError: as for `build_network` and `open_backbone`.
    """
    shape = ModelShape(spec.channels, spec.height, spec.width, num_classes)
    if not head:
        return ImageClassifier(build_network(architecture, shape), spec)
    from torchstone_train.networks.backbones.opening import rebuild_backbone  # noqa: PLC0415 - loads torchvision's networks

    return ImageClassifier(rebuild_backbone(architecture, shape, head), spec, BACKBONE_CHANNELS)
