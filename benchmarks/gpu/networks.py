"""The networks whose speed is compared, with fresh weights: they cost the same, and nothing is downloaded."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu.setting import Setting
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.networks.image_classifier import BACKBONE_CHANNELS, ImageClassifier, build_classifier

CNN3: Final = "cnn3"
OF_TORCHVISION: Final = ("resnet50", "mobilenet_v3_large", "efficientnet_b0", "vit_b_16")
_GRAY: Final = InputSpec(color="L", height=28, width=28, mean=(0.5,), std=(0.5,))
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class Network:
    """A network as it is exported.

    Attributes:
        name: name of the network.
        spec: images that it takes.
        classes: number of classes.
        module: uint8 images to logits and probabilities, in evaluation mode on the CPU.
        operations: floating-point operations for an image, two for each product with its sum.
        weights: number of weights.
    """

    name: str
    spec: InputSpec
    classes: int
    module: ExportableClassifier
    operations: int
    weights: int

    def onnx(self) -> bytes:
        """Return it as `torchstone export` writes it."""
        return export_onnx(self.module, self.name, tuple(map(str, range(self.classes))), self.spec)


def names(setting: Setting) -> tuple[str, ...]:
    """Return the networks that are compared."""
    return setting.size((CNN3, *OF_TORCHVISION), (CNN3,))


def build(name: str) -> Network:
    """Build a network with the same weights each time."""
    torch.manual_seed(0)
    classifier, spec, classes = (
        (build_classifier(CNN3, _GRAY, 10), _GRAY, 10) if name == CNN3 else (*_of_torchvision(name), 1000)
    )
    module = ExportableClassifier(classifier).eval()
    weights = sum(weight.numel() for weight in module.parameters())
    return Network(name, spec, classes, module, _operations(module, spec), weights)


def _operations(module: nn.Module, spec: InputSpec) -> int:
    # On its fast path an attention is one operation, of which the counter knows nothing.
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            module(torch.zeros(1, *spec.shape, dtype=torch.uint8))
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops())


def _of_torchvision(name: str) -> tuple[ImageClassifier, InputSpec]:
    from torchvision.models import get_model  # noqa: PLC0415 - takes a second

    spec = InputSpec(color="RGB", height=224, width=224, mean=_MEAN, std=_STD)
    network: nn.Module = get_model(name, weights=None)
    return ImageClassifier(network, spec, BACKBONE_CHANNELS), spec
