"""Time to a test accuracy: `torchstone train sprint` against the starting documents' own loop, in turns in one run.

Run: python -m benchmarks.training.sprint [--dataset fashion-mnist] [--seeds 5] [--document-seeds 5] [--threads 2]

The document's clock stops after the first epoch whose test accuracy is at the target: the earliest that could be
claimed for it. Sprint's clock runs through the whole recipe, which was chosen on validation data; its test accuracy is
measured once, at the end. Both clocks begin after the imports; the document's leaves out reading the data.
Writes benchmarks/results/sprint.json; docs/reference/training-speed.md is made of it by benchmarks/training/page.py.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.places import RESULTS
from benchmarks.training.document_loop import epochs
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.batches import make_batches
from torchstone_train.networks.image_classifier import build_classifier
from torchstone_train.recipes.resolve import get_recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.run_training import TrainingRequest, train
from torchstone_train.training.progress import Progress
from torchstone_train.training.validate import validate

OUT = RESULTS / "sprint.json"
CASES: dict[str, dict[str, Any]] = {
    "fashion-mnist": {"recipe": "sprint", "document": "bn-cnn", "target": 0.916},
    "mnist": {"recipe": "sprint-mnist", "document": "mnist-cnn", "target": 0.99},
}
MOST_EPOCHS = 16
"""As document 004 trained; its loop is given up after that."""


class Clock(Progress):
    """Notes the CPU time at the end of each epoch: the report that follows is not a part of the training."""

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs, silent=True)
        self.cpu = 0.0

    def end_epoch(self, record: Mapping[str, Any]) -> None:
        """Report nothing, and look at the clock."""
        super().end_epoch(record)
        self.cpu = time.process_time()


def sprint(recipe: str, dataset: str, data_dir: Path, seed: int, threads: int) -> dict[str, Any]:
    """Train the recipe and measure the kept weights once on the test split."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "run")
        ref = DatasetRef.parse(dataset)
        chosen = get_recipe(recipe)
        clock = Clock(chosen.epochs)
        started, spent = time.time(), time.process_time()
        torch.set_num_threads(threads)
        train(
            TrainingRequest(
                recipe=chosen,
                dataset=ref,
                data_dir=data_dir,
                out=out,
                seed=seed,
                device="cpu",
                progress=clock,
            )
        )
        whole = time.time() - started
        run = RunDirectory.open(out)
        info, history = run.read_info(), run.read_history()
        model = build_classifier(chosen.architecture, InputSpec.from_json(info["input"]), len(info["class_names"]))
        model.network.load_state_dict(run.read_weights())
        test = Dataset(ref, data_dir).test()
        device = torch.device("cpu")
        accuracy = validate(model, make_batches(test, device), test.class_names, device).metrics.accuracy
    return {
        "seed": seed,
        "seconds": datetime.fromisoformat(history[-1]["ended"]).timestamp() - started,
        "seconds_of_epochs": sum(record["seconds"] for record in history),
        "seconds_with_report": whole,
        "cpu_seconds": clock.cpu - spent,
        "validation": info["metrics"]["validation"]["accuracy"],
        "test": accuracy,
        "amp": info["precision"]["amp"],
    }


def document(recipe: str, dataset: str, data_dir: Path, seed: int, target: float) -> dict[str, Any]:
    """Train a document's loop up to the target."""
    found: list[dict[str, float]] = []
    for epoch in epochs(recipe, dataset, data_dir, seed):
        found.append(epoch)
        print(f"  document epoch {len(found)}: {epoch}", flush=True)
        if epoch["test"] >= target or len(found) == MOST_EPOCHS:
            break
    return {
        "seed": seed,
        "seconds": sum(epoch["seconds"] for epoch in found),
        "cpu_seconds": sum(epoch["cpu_seconds"] for epoch in found),
        "reached": found[-1]["test"] >= target,
        "epochs": found,
    }


def main() -> None:
    """Measure, and write after each training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", choices=list(CASES), default="fashion-mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--document-seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100, help="seeds that the recipe was not chosen on")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    case = CASES[options.dataset]
    result: dict[str, Any] = {
        **case,
        "threads": options.threads,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "recipe_fields": get_recipe(case["recipe"]).to_json(),
        "sprint": [],
        "documents": [],
    }
    for index in range(max(options.seeds, options.document_seeds)):
        seed = options.first_seed + index
        if index < options.seeds:
            result["sprint"].append(sprint(case["recipe"], options.dataset, options.data_dir, seed, options.threads))
            print(result["sprint"][-1], flush=True)
            write(options.dataset, result)
        if index < options.document_seeds:
            result["documents"].append(
                document(case["document"], options.dataset, options.data_dir, seed, case["target"])
            )
            write(options.dataset, result)


def write(dataset: str, result: dict[str, Any]) -> None:
    everything = json.loads(OUT.read_text()) if OUT.exists() else {}
    everything[dataset] = result
    OUT.write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    main()
