"""Mixed precision: which number format the forward pass uses, and why."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from torchstone_runtime.system.cpu import BF16_FEATURES, cpu_features
from torchstone_train.recipes.recipe import AmpName


@dataclass(frozen=True, slots=True)
class Precision:
    """The format that autocast uses for convolutions and matrix products.

    Attributes:
        device: `cpu` or `cuda`.
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
        return torch.autocast(self.device, dtype=self.dtype or torch.bfloat16, enabled=self.dtype is not None)

    def make_scaler(self) -> torch.amp.GradScaler:
        """Return a loss scaler; it does nothing but for fp16, whose small gradients would vanish."""
        return torch.amp.GradScaler(self.device, enabled=self.dtype is torch.float16)


def choose_precision(wanted: AmpName, device: torch.device) -> Precision:
    """Return what `off`, `auto`, `bf16` or `fp16` means on a device.

    What the device can't do, or can do only more slowly, falls back to float32, and the reason says so.
    """
    if wanted == "off":
        return Precision(device.type, None, "asked for")
    if device.type == "cuda":
        return _choose_on_gpu(wanted)
    if wanted == "fp16":
        return Precision("cpu", None, "fp16 needs a GPU: float32 instead")
    if cpu_features().isdisjoint(BF16_FEATURES):
        return Precision("cpu", None, "this processor has no bfloat16 instructions: float32 instead")
    return Precision("cpu", torch.bfloat16, "the processor has bfloat16 instructions")


def _choose_on_gpu(wanted: AmpName) -> Precision:
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    if wanted == "bf16" and not bf16:
        return Precision("cuda", torch.float16, "this GPU has no bfloat16: fp16 with loss scaling instead")
    if wanted == "fp16" or not bf16:
        return Precision("cuda", torch.float16, "with loss scaling")
    return Precision("cuda", torch.bfloat16, "the GPU has bfloat16")
