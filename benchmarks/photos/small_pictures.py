"""How accurate a network from scratch is on small colour pictures after so many minutes of two cores.

Run: python -m benchmarks.photos.small_pictures FOLDER --work FOLDER [--minutes 5 12 60] [--seeds 3] [--only SIDE ...]
     [--results benchmarks/results/small-pictures-accuracy.json]

FOLDER has `train.npz` and `test.npz` with uint8 `images` [n, 3, 32, 32] and `labels`, such as CIFAR-10's. The training
part is learnt, of which our side holds out a part to choose its epoch; the test part is looked at once for each model,
after the training. `benchmarks.photos.equal_time` says what a budget is.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

from benchmarks.photos.equal_time import Side, add_arguments, printed_accuracy, run_command, study
from benchmarks.photos.small_picture_files import write_pictures
from benchmarks.places import RESULTS

_TORCHSTONE: Final = (sys.executable, "-m", "torchstone_runtime")
_CERTIFIED: Final = ("--certify-limit", "200")
"""A short certificate: what counts here is the accuracy, which `evaluate` takes over the whole test part."""


def sides(data: Path, work: Path) -> tuple[Side, ...]:
    """Return the ways to train on the two files of a folder."""
    pictures = write_pictures(data, work / "pictures")

    def ours(epochs: int, seed: int, out: Path) -> list[str]:
        return [
            *(*_TORCHSTONE, "train", "sprint-color", "--data", f"folder:{pictures}", "--image-size", "32"),
            *("--epochs", str(epochs), "--seed", str(seed), "--out", str(out / "run"), "--overwrite"),
        ]

    def bundle_accuracy(_printed: str, folder: Path) -> float:
        bundle, document = folder / "bundle", folder / "test.json"
        run_command(
            [*_TORCHSTONE, "export", str(folder / "run"), "--out", str(bundle), "--no-torchscript", *_CERTIFIED]
        )
        given = ("--data", f"folder:{pictures}", "--split", "test")
        run_command([*_TORCHSTONE, "evaluate", str(bundle), *given, "--json", str(document)])
        return float(json.loads(document.read_text(encoding="utf-8"))["metrics"]["accuracy"])

    def plain(epochs: int, seed: int, _out: Path) -> list[str]:
        files = (str(data / "train.npz"), str(data / "test.npz"))
        module = ("-m", "benchmarks.photos.plain_small_training", *files)
        return [sys.executable, *module, "--epochs", str(epochs), "--seed", str(seed)]

    def ultralytics(epochs: int, seed: int, out: Path) -> list[str]:
        module = ("-m", "benchmarks.photos.ultralytics_training", str(pictures), "--work", str(out))
        return [sys.executable, *module, "--epochs", str(epochs), "--seed", str(seed), "--size", "32"]

    return (
        Side("torchstone sprint-color", ours, bundle_accuracy),
        Side("plain script, resnet18", plain, printed_accuracy),
        Side("ultralytics yolov8n-cls", ultralytics, printed_accuracy),
    )


def main() -> None:
    """Measure what is not measured yet, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    add_arguments(parser, (5, 12, 60), RESULTS / "small-pictures-accuracy.json")
    arguments = parser.parse_args()
    study(sides(arguments.data.absolute(), arguments.work.absolute()), arguments)


if __name__ == "__main__":
    main()
