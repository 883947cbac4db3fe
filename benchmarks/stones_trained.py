"""Measure trained stones once on the test split, and note it beside what their validation said.

Run: python benchmarks/stones_trained.py RUN [RUN ...]

Writes benchmarks/results/stones_trained.json. For models whose every choice is made: the test data is looked at here.
"""

import argparse
import json
import os
from pathlib import Path

import torch

from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.input_spec import InputSpec
from torchstone_train.batches import make_batches
from torchstone_train.classifier import build_classifier
from torchstone_train.measure import measure
from torchstone_train.run_dir import RunDirectory

OUT = Path(__file__).parent / "results" / "stones_trained.json"
CPU = torch.device("cpu")


def trained(path: Path, data_dir: Path) -> dict[str, str | int | float]:
    run = RunDirectory.open(path)
    info = run.read_info()
    recipe, kind = info["recipe"], info["dataset"]["kind"]
    model = build_classifier(recipe["architecture"], InputSpec.from_json(info["input"]), len(info["class_names"]))
    model.network.load_state_dict(run.read_weights())
    test = Dataset(DatasetRef.parse(kind), data_dir).test()
    accuracy = measure(model, make_batches(test, CPU), test.class_names, CPU).metrics.accuracy
    return {
        "name": recipe["name"],
        "dataset": kind,
        "seed": info["seed"],
        "epochs": info["epochs_run"],
        "epochs_asked_for": recipe["epochs"],
        "validation": info["metrics"]["validation"]["accuracy"],
        "test": accuracy,
        "stop_reason": info["stop_reason"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    options = parser.parse_args()
    found = [trained(run, options.data_dir) for run in options.runs]
    OUT.write_text(json.dumps(found, indent=1) + "\n")
    for line in found:
        print(line)


if __name__ == "__main__":
    main()
