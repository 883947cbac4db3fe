"""The sides of a comparison: functions of one batch of pixels in the computer's memory to logits there.

All begin and end in the memory of the processor, as an answer that somebody waits for does.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import numpy as np
import torch

from benchmarks.gpu.networks import Network
from benchmarks.gpu.setting import Setting
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.inference.engine import Engine, make_engine
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import open_session

Arm = Callable[[], Any]
FORMATS: Final = ("fp32", "fp16")


def engine(content: bytes, classes: int, options: LoadOptions) -> Engine:
    """Return what serves a file as `Classifier` does."""
    return make_engine(open_session(content, options), classes)


def logits_of(content: bytes, classes: int, options: LoadOptions, images: Uint8Array) -> Float32Array:
    """Return the logits of a file."""
    with closing(engine(content, classes, options)) as serving:
        return serving.run(images)[0]


def pytorch(setting: Setting, network: Network, images: Uint8Array, form: str, compiled: str | None) -> Arm:
    """Return PyTorch on the same pixels, in the layout and format that it is fastest in.

    Args:
        setting: device.
        network: network whose module is called.
        images: batch of pixels.
        form: `fp32`, `tf32` or `fp16` (weights and all).
        compiled: mode of `torch.compile`; None for eager.
    """
    module = _placed(setting, network, form)
    if compiled is not None:
        torch.compiler.reset()  # PyTorch stops compiling after a few networks, and runs the rest uncompiled
    called: Callable[..., Any] = module if compiled is None else torch.compile(module, mode=compiled, dynamic=False)
    source = torch.from_numpy(images)
    source = source.pin_memory() if setting.device == "cuda" else source
    allowed = form != "fp32"

    def run() -> np.ndarray:
        # Set at each turn: the sides of a comparison want different ones.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
        with torch.inference_mode():
            logits: Float32Array = called(source.to(setting.device, non_blocking=True))[0].float().cpu().numpy()
        return logits

    return run


def _placed(setting: Setting, network: Network, form: str) -> torch.nn.Module:
    torch.backends.cudnn.benchmark = setting.device == "cuda"
    from copy import deepcopy  # noqa: PLC0415 - beside its only use

    module = deepcopy(network.module).to(setting.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    return module.half() if form == "fp16" else module  # type: ignore[no-any-return]  # as above
