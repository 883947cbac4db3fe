"""The bundles that the runtime is measured with: the built-in one, and those that need PyTorch to be made."""

import shutil
from pathlib import Path
from typing import Final

import torchstone
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.trainings import train_once
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle

RECIPES: Final = ("cnn3", "stone-m")


def builtin() -> Path:
    """Return the built-in bundle."""
    return locate_bundle("fashion")


def trained_run(setting: Setting, recipe: str) -> Path:
    """Return the run of a short training, made once."""
    out = setting.work / f"run-{recipe}"
    if not (out / "best.safetensors").is_file():
        train_once(setting, recipe, "fashion-mnist", out.name, epochs=setting.size(3, 1), patience=0)
    return out


def exported(setting: Setting, recipe: str) -> Path:
    """Return a bundle of a short training with every lossless variant, made once."""
    bundle = setting.work / f"bundle-{recipe}"
    if not (bundle / "manifest.json").is_file():
        shutil.rmtree(bundle, ignore_errors=True)
        torchstone.export(trained_run(setting, recipe), out=bundle, data_dir=setting.data_dir())
    return bundle


def all_bundles(setting: Setting) -> dict[str, Path]:
    """Return every bundle by name."""
    made = {recipe: exported(setting, recipe) for recipe in setting.size(RECIPES, ())}
    return {"fashion": builtin(), **made}


def variants(bundle: Path) -> list[str]:
    """Return the ONNX variants of a bundle by name."""
    entries = Bundle.open(bundle).manifest.variants
    return [name for name, entry in entries.items() if entry.name.endswith(".onnx")]
