"""`stone-l` trained long enough for its aim, 95.8% on Fashion-MNIST: a GPU has the time that two cores lack.

A training that time runs out for is interrupted after an epoch, and resumed by the next call of this piece. Its weights
and its `run.json` lie beside the results, as `stone_l-NAME.safetensors` and `.json`.
"""

import shutil
from functools import partial
from typing import Any, Final

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.trainings import require_device, test_accuracy, train_once

AIM: Final = 0.958
TRAININGS: Final[dict[str, dict[str, Any]]] = {
    "300-epochs": {"epochs": 300, "batch_size": 512, "lr": 0.4},
    "600-epochs": {"epochs": 600, "batch_size": 512, "lr": 0.4, "ema": 0.9995},
    "300-epochs-batch-256": {"epochs": 300, "batch_size": 256, "lr": 0.3},
}
_SAVING: Final = 20.0
"""Seconds kept for the end of an epoch, the report and the test split."""


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    chosen = setting.size(TRAININGS, {"trial": {"epochs": 1, "batch_size": 128}})
    return {name: partial(_trained, setting, name, choices) for name, choices in chosen.items()}


def _trained(setting: Setting, name: str, choices: dict[str, Any]) -> dict[str, Any]:
    run = f"stone-l-{name}"
    begun = (setting.work / run / "run.json").is_file()
    found = train_once(
        *(setting, "stone-l", "fashion-mnist", run),
        seed=0,
        resume=begun,
        stop=lambda _: setting.seconds_left < setting.size(_SAVING, 0.0),
        deterministic=False,
        **choices,
    )
    for file, suffix in (("best.safetensors", "safetensors"), ("run.json", "run.json")):
        shutil.copy(setting.work / run / file, setting.results / f"stone_l-{name}.{suffix}")
    if found["epochs"] < choices["epochs"]:
        raise RuntimeError(f"epoch {found['epochs']} of {choices['epochs']}: call this piece again")
    return found | {"test": test_accuracy(setting, run, "fashion-mnist"), "aim": AIM, **choices}
