"""Mixed precision: which number format the forward pass uses, and why."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import torch

from torchstone_runtime.system.cpu import BF16_FEATURES, cpu_features
from torchstone_train.recipes.recipe import AmpName

DEPTHWISE_LIMIT: Final = 1 / 20
"""Share of depthwise convolutions in the work above which bfloat16 slows a training on processors down. Time of a step
in bfloat16 against float32, one core, PyTorch 2.15 (benchmarks/training/steps_of_backbones.py): EfficientNet-lite0 1.5,
efficientnet_b0 1.5, mobilenet_v3_small 1.8 (shares of 0.09 to 0.13); shufflenet_v2_x1_0 1.1, convnext_tiny 0.6,
regnet_y_400mf 0.7, resnet18 0.4 (0.03 and less)."""


@dataclass(frozen=True, slots=True)
class Precision:
    """The format that autocast uses for convolutions and matrix products.

    Attributes:
        device: `cpu`, `cuda` or `mps`.
        dtype: data type of autocast; None for float32 throughout.
        reason: reason for this precision, in words.
    """

    device: str
    dtype: torch.dtype | None
    reason: str

    @property
    def name(self) -> str:
        """`off`, `bf16` or `fp16`."""
        return {None: "off", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.dtype]

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context for a forward pass."""
        # Cast weights are forgotten at the end of the outermost such context alone: inside one of the caller's, a
        # network would go on with its first weights. A pass casts each of them once, so that nothing is gained.
        return torch.autocast(
            self.device, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None, cache_enabled=False
        )

    def make_scaler(self) -> torch.amp.GradScaler:
        """Return a loss scaler; it does nothing but for fp16, whose small gradients would vanish."""
        return torch.amp.GradScaler(self.device, enabled=self.dtype is torch.float16)


def choose_precision(wanted: AmpName, device: torch.device, depthwise: Callable[[], float] = lambda: 0.0) -> Precision:
    """Return what `off`, `auto`, `bf16` or `fp16` means on a device.

    What the device can't do, or can do only more slowly, falls back to float32, and the reason says so.

    Args:
        wanted: precision of the recipe.
        device: device of the training.
        depthwise: gives the share of depthwise convolutions in the network's work; asked where `auto` depends on it.
    """
    if wanted == "off":
        return Precision(device.type, None, "asked for")
    if device.type == "cuda":
        return _choose_on_gpu(wanted)
    if device.type == "mps":
        return Precision("mps", None, "mixed precision has not been tried on Apple GPUs: float32 instead")
    return _choose_on_cpu(wanted, depthwise)


def _choose_on_cpu(wanted: AmpName, depthwise: Callable[[], float]) -> Precision:
    if wanted == "fp16":
        return Precision("cpu", None, "fp16 needs a GPU: float32 instead")
    if cpu_features().isdisjoint(BF16_FEATURES):
        return Precision("cpu", None, "this processor has no bfloat16 instructions: float32 instead")
    if wanted == "auto" and depthwise() > DEPTHWISE_LIMIT:
        return Precision("cpu", None, "processors train depthwise convolutions faster in float32")
    return Precision("cpu", torch.bfloat16, "the processor has bfloat16 instructions")


def _choose_on_gpu(wanted: AmpName) -> Precision:
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bf16" and not bf16:
        return Precision("cuda", torch.float16, "this GPU has no bfloat16: fp16 with loss scaling instead")
    if wanted == "fp16" or not bf16:
        return Precision("cuda", torch.float16, "with loss scaling")
    return Precision("cuda", torch.bfloat16, "the GPU has bfloat16")
