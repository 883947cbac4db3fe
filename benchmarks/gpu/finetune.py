"""Fine-tuning on the GPU: resnet18 and efficientnet_b0, in each number format, with what decoding allows.

The weights are fresh ones unless files of them were carried: nothing can be downloaded there. Seconds and images per
second don't depend on that; the accuracy says only that something is learnt.
"""

from functools import partial
from typing import Any, Final

from benchmarks.gpu.photographs import photographs
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.trainings import require_device, train_once

BACKBONES: Final = ("resnet18", "efficientnet_b0")


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    formats = setting.size(("auto", "off", "fp16"), ("off",))
    return {
        f"{backbone}, {amp}": partial(_trained, setting, backbone, amp)
        for amp in formats
        for backbone in setting.size(BACKBONES, BACKBONES[:1])
    }


def _trained(setting: Setting, backbone: str, amp: str) -> dict[str, Any]:
    folder = photographs(setting)
    sizes = {"epochs": setting.size(4, 1), "batch_size": setting.size(64, 8)}
    choices: dict[str, Any] = {**sizes, "head_start": "random", "amp": amp}
    return train_once(
        *(setting, "finetune", f"folder:{folder}", f"finetune-{backbone}"),
        backbone=backbone,
        deterministic=False,
        **choices,
    )
