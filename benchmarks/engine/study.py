"""Every row of the page on large networks, measured cell by cell; then the page.

Run: python -m benchmarks.engine.study --work FOLDER [--photographs FOLDER] [--quick] [--only NAME ...] [--page]

A cell is one script with its arguments, pinned to the first processor or on all, in a process of its own; what it found
lies in `FOLDER/cells`. Cells that are there are not measured again, so that a study that was interrupted goes on by the
same command; one that fails is told at the end (exit code 1). `--page` takes what was found into `benchmarks/results`
as one file, and writes the page from it. `--photographs` has class folders in `train` and `test`: without it, there is
nothing of files and certificates. Two quick cells and a full one never mix: a work folder is of one kind.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.engine import page
from benchmarks.places import RESULTS, ROOT
from torchstone_runtime.files import write_atomic
from torchstone_runtime.strict_json import strict_json
from torchstone_runtime.system.cpu import usable_cpus

KEPT: Final = RESULTS / "engine-study.json"
NETWORKS: Final = ("mobilenet_v3_small", "efficientnet_b0", "resnet50", "vit_b_16")
_QUICK_NETWORKS: Final = ("mobilenet_v3_small", "resnet50")
_LONG: Final = ("resnet50", "vit_b_16")
"""Networks of which a round takes so long that seven of them, or 250 pictures, tell the ratio closely enough."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement.

    Attributes:
        name: name of its file.
        script: name of the module in `benchmarks.engine`.
        options: options of it, but for `--out`.
        cores: number of processors that it may use; None for all.
    """

    name: str
    script: str
    options: tuple[str, ...] = ()
    cores: int | None = None


def cells(photographs: Path | None, *, quick: bool) -> list[Cell]:
    """Return all cells, those that most of the page hangs on first."""
    rounds = ("--rounds", "7" if quick else "15")
    found = [Cell("floor", "floor", rounds)]
    for cores in (None, 1) if usable_cpus() > 1 else (1,):
        place = "all" if cores is None else "1"
        for name in _QUICK_NETWORKS if quick else NETWORKS:
            for count in ("1", "32"):
                turns = ("--rounds", "7") if name in _LONG and count != "1" else rounds
                options = ("--networks", name, "--count", count, *turns, *(() if quick else ("--compile",)))
                found.append(Cell(f"pictures-{name}-{count}-{place}", "pictures", options, cores))
    callers = ("mobilenet_v3_small",) if quick else ("cnn3", "mobilenet_v3_small", "resnet50")
    found += [Cell(f"callers-{name}", "callers", ("--networks", name, "--rounds", "7")) for name in callers]
    growing = "mobilenet_v3_small" if quick else "resnet50"
    found.append(Cell("growth", "growth", ("--networks", growing, *(("--batches", "1", "8") if quick else ()))))
    if photographs is not None:
        certified = ("--pictures", "20" if quick else "500", "--network", "resnet50")
        for name in ("mobilenet_v3_small",) if quick else ("mobilenet_v3_small", "resnet50"):
            pictures = "100" if quick else "250" if name in _LONG else "1000"
            options = (str(photographs / "train"), "--networks", name, "--pictures", pictures, "--rounds", "7")
            found.append(Cell(f"files-{name}", "pictures_from_disk", options))
        found.append(Cell("certificate", "certificate_cost", (str(photographs), *certified)))
    return found


def measure(cell: Cell, work: Path) -> str:
    """Measure a cell unless it is there; return what went wrong, or nothing."""
    out = work / "cells" / f"{cell.name}.json"
    if out.exists():
        return ""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", f"benchmarks.engine.{cell.script}", *cell.options]
    pin = partial(os.sched_setaffinity, 0, sorted(os.sched_getaffinity(0))[: cell.cores])
    load, started = os.getloadavg()[0], time.monotonic()
    part = out.with_suffix(".part")
    done = subprocess.run([*command, "--out", str(part)], cwd=ROOT, check=False, preexec_fn=pin)
    if done.returncode != 0 or not part.exists():
        return f"{cell.name}: exit code {done.returncode}"
    state = {"cores": cell.cores or usable_cpus(), "load before": round(load, 1), "load after": os.getloadavg()[0]}
    state["seconds"] = round(time.monotonic() - started)
    found = json.loads(part.read_text(encoding="utf-8"))
    write_atomic(out, strict_json({"script": cell.script, **state, "found": found}, indent=1) + "\n")
    part.unlink()
    return ""


def collected(work: Path, *, quick: bool) -> dict[str, Any]:
    """Return what all cells found, as the page takes it."""
    files = sorted((work / "cells").glob("*.json"))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "quick": quick,
        "cells": {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files},
    }


def main() -> int:
    """Measure what is missing, and write the page; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of the names of cells")
    parser.add_argument("--page", action="store_true")
    arguments = parser.parse_args()
    photographs = None if arguments.photographs is None else arguments.photographs.absolute()
    work, failed = arguments.work.absolute(), list[str]()
    for cell in cells(photographs, quick=arguments.quick):
        if not arguments.only or cell.name.startswith(tuple(arguments.only)):
            print(f"== {cell.name}", flush=True)
            failed.append(measure(cell, work))
    if arguments.page:
        write_atomic(KEPT, strict_json(collected(work, quick=arguments.quick), indent=1) + "\n")
        page.main()
    for line in filter(None, failed):
        print(f"failed: {line}", file=sys.stderr)
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main())
