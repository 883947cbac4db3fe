"""How far TensorRT is from exact arithmetic without TF32, in a process of its own: NVIDIA's libraries ask for it once.

The other pieces need TF32 where it is allowed, so that they may not rule it out for their process.
"""

import os

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.tolerances import steps_of
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    os.environ[TF32_VARIABLE] = "0"
    provider = setting.providers[-1]
    return steps_of(setting, "tensorrt_float32", {provider: (setting.options(provider), False)})
