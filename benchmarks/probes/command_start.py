"""Compare two versions by what the start of a command costs, and by the size of what is installed.

    python -m benchmarks.probes.command_start NEW OLD [--turns 40]

NEW and OLD are virtual environments, each with `pip install 'CLONE[cpu]'` of its version and the same other packages.
`--help`, and `predict` with the built-in bundle `fashion` and one picture, start in both in turns, in an order drawn
anew for each turn.
"""

import argparse
import importlib.metadata
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.benchmark.timing import TimeEstimate, quantile

COMMANDS: Final = (("--help",), ("predict", "fashion", "picture.png"))
WARM_UP: Final = 2


def main(new: Path, old: Path, turns: int) -> None:
    packages = [f"{name} {importlib.metadata.version(name)}" for name in ("onnxruntime", "numpy", "pillow", "click")]
    print(f"{turns} turns, Python {platform.python_version()}, {', '.join(packages)}")
    with tempfile.TemporaryDirectory() as folder:
        pixels = np.random.RandomState(0).randint(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(Path(folder, "picture.png"))
        for command in COMMANDS:
            _compare(command, (new, old), turns, folder)
    sizes = [_bytes(environment) / 1e6 for environment in (new, old)]
    print(f"size       {sizes[0]:.1f} and {sizes[1]:.1f} MB: {sizes[0] - sizes[1]:+.1f} MB")


def _compare(command: tuple[str, ...], environments: tuple[Path, Path], turns: int, folder: str) -> None:
    """Print the median ratios of new to old, of both times."""
    for environment in environments * WARM_UP:
        _start(environment, command, folder)
    spent = np.empty((turns, 2, 2))
    draw = random.Random(0)  # noqa: S311 - an order, not a secret
    for turn in range(turns):
        for side in draw.sample((0, 1), 2):
            spent[turn, side] = _start(environments[side], command, folder)
    for index, name in enumerate(("processor", "wall")):
        new, old = np.median(spent[:, :, index], axis=0) * 1000
        ratio = quantile(spent[:, 0, index] / spent[:, 1, index], 0.5)
        print(f"{command[0]:10} {name:9} {new:4.0f} and {old:4.0f} ms: {_text(ratio)}", flush=True)


def _start(environment: Path, command: tuple[str, ...], folder: str) -> tuple[float, float]:
    """Return the processor and the wall seconds of a command in a process of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    began = time.perf_counter()
    program = str(environment.absolute() / "bin" / "torchstone")
    process = subprocess.Popen(
        [program, *command], env=clean, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{program} {' '.join(command)} ended with {process.returncode}")
    return used.ru_utime + used.ru_stime, wall


def _text(ratio: TimeEstimate) -> str:
    if ratio.low is None or ratio.high is None:
        return f"ratio {ratio.value:.3f} (too few turns for an interval)"
    return f"ratio {ratio.value:.3f} (95% interval {ratio.low:.3f} to {ratio.high:.3f})"


def _bytes(environment: Path) -> int:
    return sum(path.lstat().st_size for path in environment.rglob("*") if not path.is_dir())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("--turns", type=int, default=40)
    given = parser.parse_args()
    main(given.new, given.old, given.turns)
