"""The model as training and export share it: raw uint8 pixels in, logits out."""

from typing import cast

import torch
from torch import Tensor, nn

from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.architectures import ModelShape, build_network


class ImageClassifier(nn.Module):
    """Normalisation and network in one module, so that export can't get the preprocessing wrong.

    Args:
        network: normalised float images (N, C, H, W) to logits (N, K).
        spec: its mean and std normalise the pixels.
    """

    scale: Tensor
    offset: Tensor

    def __init__(self, network: nn.Module, spec: InputSpec) -> None:
        super().__init__()
        self.network = network
        mean = torch.tensor(spec.mean, dtype=torch.float64).reshape(1, -1, 1, 1)
        std = torch.tensor(spec.std, dtype=torch.float64).reshape(1, -1, 1, 1)
        # (x / 255 - mean) / std as one multiplication and one addition.
        self.register_buffer("scale", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("offset", (-mean / std).float(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of uint8 images (N, C, H, W)."""
        return cast("Tensor", self.network(images.to(self.scale.dtype) * self.scale + self.offset))


def build_classifier(architecture: str, spec: InputSpec, num_classes: int) -> ImageClassifier:
    """Build a classifier with fresh weights; errors as for `build_network`."""
    shape = ModelShape(spec.channels, spec.height, spec.width, num_classes)
    return ImageClassifier(build_network(architecture, shape), spec)
