"""Ways to train beside each other, each with the same processor time.

A budget is processor time of the training and all its processes (on a shared machine a clock measures the others too):
two processor minutes for each minute of two cores. All compute on one thread: with more, those that wait for the
others count as work, the more of them the busier the machine. The number of epochs is the largest that fits: a training
of one and one of two epochs, which are not counted, tell what an epoch and what the rest takes. What was measured is
kept in the results' file and not repeated, so that a study that takes hours can be made in pieces. A training of one
length is measured in the first budget that it is asked for; its figures are those of longer ones too.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks.places import ROOT
from torchstone_runtime.files import write_atomic
from torchstone_runtime.system.cpu import processor_name, usable_cpus

CORES: Final = 2
MOST_EPOCHS: Final = 200
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_PACKAGES: Final = ("torch", "torchvision", "scikit-learn", "onnxruntime", "timm", "ultralytics")


@dataclass(frozen=True, slots=True)
class Measured:
    """One training: processor seconds, epochs, and accuracy on the held-out pictures."""

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
        accuracy: function of what the command printed and the folder that returns the accuracy on held-out pictures.
        trains_epochs: whether more epochs can be trained; else it has one length.
        most_epochs: number of epochs beyond which its accuracy no longer grows.
    """

    name: str
    train: Callable[[int, int, Path], list[str]]
    accuracy: Callable[[str, Path], float]
    trains_epochs: bool = True
    most_epochs: int = MOST_EPOCHS


def printed_accuracy(printed: str, _folder: Path) -> float:
    """Return the number behind the last word "accuracy"."""
    return float(printed.rsplit("accuracy", 1)[1])


def run_command(command: Sequence[str]) -> tuple[str, float]:
    """Run a command; return what it printed, and the processor seconds of it and all its processes.

    Raises:
        SystemExit: the command failed; the end of its messages is shown.
    """
    environment = {
        **os.environ,
        **_ONE_THREAD,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    before = os.times()
    found = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    after = os.times()
    if found.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{(found.stderr or found.stdout)[-2000:]}")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    return found.stdout, seconds


def _cost(side: Side, work: Path) -> tuple[float, float]:
    """Return the processor seconds of an epoch, and of all the rest."""
    kept = work / f"{side.name.replace(' ', '-')}.json"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=work) as folder:
            one, two = (run_command(side.train(epochs, 0, Path(folder) / str(epochs)))[1] for epochs in (1, 2))
        write_atomic(kept, json.dumps([two - one, 2 * one - two]))
    epoch, rest = json.loads(kept.read_text(encoding="utf-8"))
    return float(epoch), float(rest)


def measure(side: Side, minutes: float, seed: int, work: Path) -> Measured | None:
    """Train a side within a budget and measure it; None where not one epoch fits."""
    epochs = 1
    if side.trains_epochs:
        epoch, rest = _cost(side, work)
        epochs = min(side.most_epochs, int((minutes * 60 * CORES - rest) / epoch))
    if epochs < 1:
        return None
    with tempfile.TemporaryDirectory(dir=work) as folder:
        printed, seconds = run_command(side.train(epochs, seed, Path(folder)))
        return Measured(side.name, minutes, seed, epochs, seconds, side.accuracy(printed, Path(folder)))


def _measured_before(rows: Iterable[Measured], side: Side, minutes: float, seed: int) -> Measured | None:
    """Return the figures of a shorter budget where a longer one changes nothing."""
    found = (row for row in rows if (row.side, row.seed) == (side.name, seed) and row.minutes < minutes)
    earlier = None if side.trains_epochs else next(found, None)
    return None if earlier is None else replace(earlier, minutes=minutes)


def _machine() -> dict[str, Any]:
    installed = {item.metadata["Name"].lower() for item in metadata.distributions() if item.metadata["Name"]}
    versions = {name: metadata.version(name) for name in _PACKAGES if name in installed}
    return {"processor": processor_name(), "processors": usable_cpus(), "versions": versions}


def _kept(results: Path) -> list[Measured]:
    if not results.exists():
        return []
    return [Measured(**row) for row in json.loads(results.read_text(encoding="utf-8"))["rows"]]


def add_arguments(parser: argparse.ArgumentParser, minutes: Iterable[float], results: Path) -> None:
    """Add what every study of equal time asks for."""
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=list(minutes))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="SIDE")
    parser.add_argument("--results", type=Path, default=results)


def study(sides: Iterable[Side], arguments: argparse.Namespace) -> None:
    """Measure what is not measured yet, seed by seed with the sides in turns; write the results after each training."""
    rows = _kept(arguments.results)
    arguments.work.mkdir(parents=True, exist_ok=True)
    chosen = [side for side in sides if not arguments.only or side.name in arguments.only]
    for minutes in arguments.minutes:
        for seed in range(arguments.seeds):
            for side in chosen:
                if any((row.side, row.minutes, row.seed) == (side.name, minutes, seed) for row in rows):
                    continue
                known = _measured_before(rows, side, minutes, seed)
                if (found := known or measure(side, minutes, seed, arguments.work)) is not None:
                    rows.append(found)
                    print(found, flush=True)
                    document = {"machine": _machine(), "rows": [asdict(row) for row in rows]}
                    write_atomic(arguments.results, json.dumps(document, indent=1) + "\n")
