"""Is a training that was interrupted and resumed on a GPU the one that was not, to the bit; and what does that cost?"""

import statistics
from functools import partial
from typing import Any, Final

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.trainings import require_device, train_once
from torchstone_train.run.run_dir import RunDirectory

RECIPES: Final = (("sprint", 4), ("cnn3", 4), ("stone-l", 3))
"""Recipes with their epochs: strides; maxima over windows and dropout; residual blocks with augmentation."""
COMPILED: Final = (("sprint", 4, "default"), ("sprint", 4, "reduce-overhead"))
"""Recipes with their epochs and modes of `--compile`."""
FORMATS: Final = ("off", "bf16", "fp16")


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    found: dict[str, Any] = {}
    for recipe, epochs in setting.size(RECIPES, (("sprint-mnist", 2),)):
        for amp in FORMATS if recipe == "sprint" else ("bf16",):
            found[f"{recipe} in {amp}, bits"] = partial(_bits, setting, recipe, epochs, amp)
        found[f"{recipe}, price"] = partial(_price, setting, recipe, epochs)
    # Last: each of its four trainings compiles.
    for recipe, epochs, mode in setting.size(COMPILED, (("sprint-mnist", 2, "default"),)):
        found[f"{recipe} in bf16, --compile {mode}, bits"] = partial(_bits, setting, recipe, epochs, "bf16", mode)
    return found


def _bits(setting: Setting, recipe: str, epochs: int, amp: str, compiled: str = "off") -> dict[str, Any]:
    choices: dict[str, Any] = {"epochs": epochs, "amp": amp, "compile": compiled, "patience": 0}
    whole = train_once(setting, recipe, "fashion-mnist", "whole", **choices)
    again = train_once(setting, recipe, "fashion-mnist", "again", **choices)
    first = train_once(setting, recipe, "fashion-mnist", "parts", stop=lambda epoch: epoch == 1, **choices)
    second = train_once(setting, recipe, "fashion-mnist", "parts", resume=True, **choices)
    files = {name: (setting.work / name / "best.safetensors").read_bytes() for name in ("whole", "again", "parts")}
    last = {name: _last_state(setting, name) for name in files}
    return {
        "interrupted_after": first["epochs"],
        "epochs": second["epochs"],
        "same_seed_same_weights": files["whole"] == files["again"] and last["whole"] == last["again"],
        "resumed_same_weights": files["whole"] == files["parts"] and last["whole"] == last["parts"],
        "losses": {"whole": whole["loss"], "again": again["loss"], "parts": second["loss"]},
        "warnings": whole["warnings"],
    }


def _last_state(setting: Setting, name: str) -> dict[str, list[Any]]:
    """Return the last weights and their averages, as numbers that can be compared."""
    state = RunDirectory(setting.work / name).read_checkpoint() or {}
    parts = {"model": state["model"], "average": state.get("average", {}).get("average", {})}
    return {
        f"{part} {key}": tensor.flatten().tolist() for part, named in parts.items() for key, tensor in named.items()
    }


def _price(setting: Setting, recipe: str, epochs: int) -> dict[str, Any]:
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(setting.size(2, 1)):
        for deterministic in (True, False):
            found = train_once(
                setting, recipe, "fashion-mnist", "price", epochs=epochs, patience=0, deterministic=deterministic
            )
            seconds[deterministic] += found["seconds_of_epochs"][1:]
    medians = {kind: statistics.median(values) for kind, values in seconds.items()}
    return {
        "deterministic_seconds": seconds[True],
        "free_seconds": seconds[False],
        "ratio": medians[True] / medians[False],
    }
