"""int8 and fp16 on the GPU, by the export's own gate: `export --int8 --fp16 --provider cuda`."""

import json
import shutil
from functools import partial
from typing import Any

import torchstone
from benchmarks.gpu.bundles import RECIPES, trained_run
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    return {recipe: partial(_decided, setting, recipe) for recipe in setting.size(RECIPES, ("sprint-mnist",))}


def _decided(setting: Setting, recipe: str) -> dict[str, Any]:
    """Export with both variants, and return what the gate found of each."""
    out = setting.work / f"lossy-{recipe}"
    shutil.rmtree(out, ignore_errors=True)
    found = torchstone.export(
        trained_run(setting, recipe),
        out=out,
        data_dir=setting.data_dir(),
        torchscript=False,
        int8=not setting.dry_run,
        fp16=True,
        provider=setting.providers[0],
        int8_minutes=1.0,
    )
    certificate = json.loads((found.path / "certificate.json").read_text())
    return {"variants": list(found.variants), "warnings": list(found.warnings), "lossy": certificate.get("lossy")}
