"""How far each provider is from exact arithmetic, over honest exports: what golden tolerances are to be made of.

The exports are those of `benchmarks.engine.provider_exports`, made beforehand and carried along. TF32 and fp16 are
measured beside: as multiples of float32's own error, and by the decisions that they change.
"""

import json
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.engine.provider_errors import measure_sides, summarize
from benchmarks.gpu.networks import CNN3, build
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import DONE, Steps, read_steps
from torchstone_export.certificate.reference import run_module
from torchstone_export.lossy.fp16_file import to_fp16
from torchstone_runtime.inference.load_options import LoadOptions

_AT_ONCE: Final = 10
"""Exports in one step: each step is kept when it is done."""


Ways = dict[str, tuple[LoadOptions, bool]]
"""How a file is loaded, and whether it is the one in fp16, by the name of the way of computing."""


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    return steps_of(setting, "tolerances", ways(setting))


def steps_of(setting: Setting, piece: str, chosen: Ways) -> Steps:
    """Return the steps of a piece that measures ways of computing over all exports."""
    if setting.dry_run:
        _make_export(setting.exports / CNN3)
    folders = sorted(file.parent for file in setting.exports.glob("*/case.json"))
    found: dict[str, Any] = {}
    for start in range(0, len(folders), _AT_ONCE):
        part = folders[start : start + _AT_ONCE]
        found[f"exports {start + 1} to {start + len(part)}"] = partial(_measured, chosen, part)
    return {**found, "summary": partial(_summary, setting, piece, chosen)}


def ways(setting: Setting) -> Ways:
    """Return the ways that one process can measure: TensorRT without TF32 is a piece of its own."""
    found = {"cpu": (LoadOptions(provider="cpu"), False)}
    for provider in setting.providers:
        if provider != "tensorrt":
            found[provider] = (setting.options(provider), False)
        found[f"{provider}, TF32"] = (setting.options(provider, tf32=True), False)
        found[f"{provider}, fp16"] = (setting.options(provider, tf32=True), True)
    return found


def _measured(chosen: Ways, folders: list[Path]) -> list[dict[str, Any]]:
    return [_measure(chosen, folder) for folder in folders]


def _measure(chosen: Ways, folder: Path) -> dict[str, Any]:
    content = (folder / "model.onnx").read_bytes()
    sides = {name: (to_fp16(content) if half else content, options) for name, (options, half) in chosen.items()}
    return measure_sides(folder, sides)


def _summary(setting: Setting, piece: str, chosen: Ways) -> dict[str, Any]:
    kept = read_steps(setting.results, piece)
    records = [
        record
        for name, step in kept.items()
        if name.startswith("exports") and step["state"] == DONE
        for record in step["result"]
    ]
    return {"exports": len(records)} | {name: summarize(records, name) for name in chosen}


def _make_export(folder: Path) -> None:
    """Write one export as `provider_exports` does, of fresh weights and noise."""
    network = build(CNN3)
    images = np.random.default_rng(0).integers(0, 256, (20, *network.spec.shape), dtype=np.uint8)
    content, logits = network.onnx(), run_module(network.module, images)[0]
    exact = run_module(deepcopy(network.module).double(), images)[0].astype(np.float64)
    errors = np.abs(logits - exact)
    floors = {"noise_floor": float(errors.max()), "rms_floor": float(np.sqrt(np.mean(errors**2)))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(content)
    np.savez_compressed(folder / "expected.npz", images=images, exact=exact)
    (folder / "case.json").write_text(json.dumps({"family": CNN3, "dataset": "noise", "seed": 0, **floors}))
