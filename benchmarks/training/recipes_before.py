"""Whether the starting documents' recipes train slower than an earlier version trained them.

Run: python -m benchmarks.training.recipes_before EARLIER [--rounds 7]

EARLIER is a checkout of the version to compare with. Each recipe is trained on the embedded digits, six epochs, in a
process of its own on one thread, both versions in turns; a training's time is the median of its epochs but the first.
Prints the ratio of the times, this version's to the earlier one's: median and range of the rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.places import ROOT

RECIPES = ("sgd-cnn", "mlp", "cnn3", "mnist-cnn", "bn-cnn")
EPOCHS = 6


def epoch_seconds(checkout: Path, recipe: str) -> float:
    """Return the median over the epochs of a training by the version in `checkout`."""
    parts = os.pathsep.join(str(checkout / part) for part in ("train", "export", "runtime"))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torchstone_runtime", "train", recipe, "--dataset", "digits"]
        command += ["--epochs", str(EPOCHS), "--patience", "0", "--out", f"{folder}/run"]
        subprocess.run(command, env={**os.environ, "PYTHONPATH": parts}, check=True, capture_output=True, cwd=folder)
        lines = Path(folder, "run", "history.jsonl").read_text().splitlines()
    return statistics.median(float(json.loads(line)["seconds"]) for line in lines[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for recipe in RECIPES:
        ratios = []
        for _ in range(options.rounds):
            earlier = epoch_seconds(options.earlier.absolute(), recipe)
            ratios.append(epoch_seconds(ROOT, recipe) / earlier)
        print(f"{recipe}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True)


if __name__ == "__main__":
    main()
