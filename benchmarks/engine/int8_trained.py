"""int8 of trained small networks: what the gate makes of six families, on all test images of Fashion-MNIST.

Run: TORCHSTONE_DATA=... python -m benchmarks.engine.int8_trained --work FOLDER [--only NAME ...] [--images 10000]
     [--epochs 3] [--minutes 4] [--out benchmarks/results/engine-int8-trained.json]

Each of `benchmarks.engine.small_networks` is trained on the first images of the training part and exported with
`--int8`: the search chooses by validation images, the gate decides on the whole test part. What is kept of a network
is the gate's report in the certificate, with the accuracy of `fp32`. None is measured twice.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from benchmarks.engine.small_networks import NETWORKS
from benchmarks.places import RESULTS
from torchstone_runtime.data.idx import find_idx, read_idx
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.files import write_atomic
from torchstone_runtime.system.cpu import REPORTED, cpu_features, processor_name, usable_cpus

_RAW: Final = Path("FashionMNIST", "raw")
_RECIPE: Final = ("--lr", "0.001", "--set", "optimizer=adamw", "--set", "schedule=one-cycle", "--batch-size", "64")
_LEFT_OUT: Final = ("candidates", "changes", "layers")


def write_data(folder: Path, images: int) -> Path:
    """Write a data directory with the first training images and all test images of Fashion-MNIST; return it."""
    source = default_data_dir() / _RAW
    for part, count in (("train", images), ("t10k", None)):
        for kind, dimensions in (("images", 3), ("labels", 1)):
            stem = f"{part}-{kind}-idx{dimensions}-ubyte"
            found = find_idx(source, stem)
            if found is None:
                raise SystemExit(f"There is no {stem} in {source}.")
            items = read_idx(found, dimensions)[:count]
            (folder / _RAW).mkdir(parents=True, exist_ok=True)
            head = struct.pack(f">4B{dimensions}I", 0, 0, 8, dimensions, *items.shape)
            (folder / _RAW / stem).write_bytes(head + items.tobytes())
    return folder


def judge(name: str, work: Path, data: Path, epochs: int, minutes: float) -> dict[str, Any]:
    """Train a network, export it with int8, and return the gate's report."""
    run, bundle = work / name / "run", work / name / "bundle"
    if not (run / "best.safetensors").exists():
        trained = ("--epochs", str(epochs), "--amp", "auto", "--out", str(run), "--overwrite", *_RECIPE)
        _torchstone("train", f"benchmarks.engine.small_networks:{name}", "--data", "fashion-mnist", *trained, data=data)
    wanted = ("--no-torchscript", "--int8", "--int8-minutes", str(minutes), "--out", str(bundle))
    _torchstone("export", str(run), *wanted, data=data)
    certificate = json.loads((bundle / "certificate.json").read_text(encoding="utf-8"))
    report = certificate["lossy"]["int8"]
    kept = {key: value for key, value in report.items() if key not in _LEFT_OUT}
    return {"accuracy": certificate["pytorch"]["test"]["accuracy"], **kept}


def _torchstone(*arguments: str, data: Path) -> None:
    environment = {**os.environ, "TORCHSTONE_DATA": str(data)}
    subprocess.run([sys.executable, "-m", "torchstone_runtime", *arguments], check=True, env=environment)


def main() -> None:
    """Measure the networks that are not measured yet, and keep each as soon as it is."""
    names = [network.__name__ for network in NETWORKS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "engine-int8-trained.json")
    asked = parser.parse_args()
    data = write_data(asked.work / "data", asked.images)
    kept = json.loads(asked.out.read_text(encoding="utf-8"))["networks"] if asked.out.exists() else {}
    for name in asked.only:
        if name in kept:
            continue
        kept[name] = judge(name, asked.work, data, asked.epochs, asked.minutes)
        features = sorted(cpu_features().intersection(REPORTED))
        machine = {"processor": processor_name(), "processors": usable_cpus(), "features": features}
        versions = {package: metadata.version(package) for package in ("torch", "torchvision", "onnxruntime")}
        document = {"machine": machine, "versions": versions, "images": asked.images, "networks": kept}
        write_atomic(asked.out, json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
