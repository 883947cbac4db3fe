"""What cascades give: speed of their files on real images beside that of each model alone, in turns in one run.

Run: python -m benchmarks.models.cascade RUNS [--seed 0] [--rounds 40] [--data-dir DIR]

RUNS is the --out of `python -m benchmarks.recipe_results.reproduce` with --int8 for stone-s, stone-m, stone-l,
stone-s+stone-l and stone-m+stone-l-mirror. How long a cascade takes depends on the images, so the first 2,048 test
images of Fashion-MNIST are timed, in tiles of 64 on one thread, as ratios to an untrained `cnn3` in float32.
Accuracies are those of docs/reference/results.json.
Writes benchmarks/results/cascade.json.
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.models.stones import TILE, Key, files, open_session
from benchmarks.places import DOCS, RESULTS
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_train.networks.architectures import ModelShape, build_network

NAMES = ("stone-s", "stone-m", "stone-l", "stone-s+stone-l", "stone-m+stone-l-mirror")
BASE: Key = ("cnn3", "fp32")
IMAGES = 2_048
OUT = RESULTS / "cascade.json"
MEASURED = DOCS / "reference" / "results.json"
Sessions = dict[Key, onnxruntime.InferenceSession]


def open_variants(name: str, bundle: Bundle) -> Sessions:
    """Return the sessions of a bundle's ONNX files."""
    paths = {
        kind: bundle.path / entry.name for kind, entry in bundle.manifest.variants.items() if kind != "torchscript"
    }
    return {(name, kind): open_session(path.read_bytes()) for kind, path in paths.items()}


def time_in_turns(sessions: Sessions, images: Uint8Array, rounds: int) -> dict[Key, list[float]]:
    """Return seconds for all images by session and round; the first round doesn't count."""
    seconds: dict[Key, list[float]] = {key: [] for key in sessions}
    for turn in range(rounds + 1):
        for key, session in sessions.items():
            started = time.perf_counter()
            for start in range(0, len(images), TILE):
                session.run(None, {"images": images[start : start + TILE]})
            if turn:
                seconds[key].append(time.perf_counter() - started)
    return seconds


def described(name: str, bundle: Bundle) -> dict[str, Any]:
    """Return what docs/reference/results.json says of an entry, and of a cascade its routing."""
    seeds = next(result["seeds"] for result in json.loads(MEASURED.read_text())["results"] if result["recipe"] == name)
    accuracies = [seed["test"]["accuracy"] for seed in seeds]
    cascade = bundle.manifest.provenance.get("cascade")
    routing = {"threshold": cascade["routing"]["threshold"], "asked": cascade["asked"]["test"]} if cascade else {}
    return {"name": name, "accuracy": statistics.fmean(accuracies), "seeds": len(accuracies), **routing}


def ratio(base: list[float], own: list[float]) -> dict[str, float | list[float]]:
    low, middle, high = statistics.quantiles([one / other for one, other in zip(base, own, strict=True)], n=4)
    return {"ratio": middle, "quartiles": [low, high], "fastest_images_per_second": IMAGES / min(own)}


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--data-dir", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    options = parser.parse_args()
    images = Dataset(DatasetRef("fashion-mnist"), options.data_dir).test().store.read(np.arange(IMAGES))
    bundles = {name: Bundle.open(options.runs / name / f"seed-{options.seed}.bundle") for name in NAMES}
    sessions = {BASE: open_session(files(build_network("cnn3", ModelShape(1, 28, 28, 10)))["fp32"])}
    for name, bundle in bundles.items():
        sessions |= open_variants(name, bundle)
    seconds = time_in_turns(sessions, np.ascontiguousarray(images), options.rounds)
    entries = [
        described(name, bundle)
        | {kind: ratio(seconds[BASE], seconds[name, kind]) for kind in ("fp32", "int8") if (name, kind) in sessions}
        for name, bundle in bundles.items()
    ]
    document = {"seed": options.seed, "rounds": options.rounds, "onnxruntime": onnxruntime.__version__}
    OUT.write_text(json.dumps(document | {"entries": entries}, indent=1) + "\n")
    for entry in entries:
        print(entry)


if __name__ == "__main__":
    main()
