"""Images a second and memory of `score` over growing inputs, local and on Ray, beside `Classifier.stream`.

Each cell is kept in FOLDER as it is measured, and not measured again: stop and start the command as you like.

Run: python -m benchmarks.scale.study --work FOLDER [--counts 1000,10000] [--sides 28,224] [--engines local,stream,ray]
     python -m benchmarks.scale.study --work FOLDER --write
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.places import RESULTS
from benchmarks.scale.cells import Cell, measure
from benchmarks.scale.pictures import write_pictures
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.system.machine import describe_machine

RESULT: Final = RESULTS / "scale.json"
_SMALL_SHARDS: Final = 50
"""Pictures in the shards of the cells that tell what a shard costs."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--counts", default="1000,10000,100000,1000000")
    parser.add_argument("--sides", default="28")
    parser.add_argument("--engines", default="stream,local,ray")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--shards", action="store_true", help="measure what a shard costs")
    parser.add_argument("--bundle", default="fashion")
    parser.add_argument("--write", action="store_true", help="only gather what is kept into results/scale.json")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    if not given.write:
        run(given.work, given.bundle, list(cells(given)))
    RESULT.write_text(json.dumps(gathered(given.work, given.bundle), indent=2) + "\n", encoding="utf-8")


def cells(given: argparse.Namespace) -> Iterator[Cell]:
    """Yield the cells in the order in which they are measured: all engines of a number of pictures in turns."""
    engines = given.engines.split(",")
    for side in map(int, given.sides.split(",")):
        for images in map(int, given.counts.split(",")):
            for turn in range(given.turns):
                for engine in engines:
                    for workers in [1] if engine == "stream" else map(int, given.workers.split(",")):
                        yield Cell(images, side, engine, workers, turn=turn)
                        if given.shards and engine != "stream":
                            yield Cell(images, side, engine, workers, _SMALL_SHARDS, turn)


def run(work: Path, bundle: str, wanted: list[Cell]) -> None:
    """Measure the cells that are not kept yet."""
    for cell in wanted:
        kept = work / f"{cell.name}.json"
        if kept.exists():
            continue
        row = measure(cell, bundle, _pictures(work, cell), work)
        if row is None:
            print(f"{cell.name} failed; the next run measures it", flush=True)
            continue
        partial = kept.with_suffix(".partial")
        partial.write_text(json.dumps(row), encoding="utf-8")
        partial.rename(kept)
        print(json.dumps(row), flush=True)


def gathered(work: Path, bundle: str) -> dict[str, Any]:
    """Return all kept cells with the machine, the versions and the model's recipe."""
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(work.glob("*.json"))]
    packages = {name: version(name) for name in ("onnxruntime", "numpy", "pillow", "ray")}
    return {"machine": describe_machine(), "packages": packages, "model": _model(bundle), "cells": rows}


def _model(bundle: str) -> str:
    manifest = Bundle.open(locate_bundle(bundle)).manifest
    return f"{manifest.name} ({manifest.default_variant}, {manifest.input_spec.height} x {manifest.input_spec.width})"


def _pictures(work: Path, cell: Cell) -> Path:
    folder = work / f"pictures-{cell.side}-{cell.images}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        write_pictures(partial, cell.images, cell.side)
        partial.rename(folder)
    return folder


if __name__ == "__main__":
    main()
