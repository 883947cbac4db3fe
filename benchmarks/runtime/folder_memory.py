"""Peak memory of classifying 100,000 image files against 1,000, and the processor time of an idle classifier.

Run: python -m benchmarks.runtime.folder_memory [--rounds 3] [--quick]

The files are 1,000 real images as PNG, and 100 hard links to each. Both folders take turns, in fresh processes.
The ratio's range is that of the extremes: the largest peak of one over the smallest of the other.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.places import ROOT
from benchmarks.runtime.stage import (
    BUNDLE,
    TORCHSTONE,
    WORK,
    Process,
    Target,
    arguments,
    bundle,
    images,
    record,
    whole_process,
)
from torchstone_runtime.benchmark.timing import TimeEstimate
from torchstone_runtime.images.encode import encode_png

STREAM = """
import sys
from pathlib import Path
from typing import Any
from torchstone_runtime import Classifier
with Classifier.load(sys.argv[1]) as classifier:
    files = (path for folder in Path(sys.argv[2]).iterdir() for path in folder.iterdir())
    print(sum(len(part) for part in classifier.stream(files)))
"""
IDLE = """
import sys, time
from torchstone_runtime import Classifier
from torchstone_runtime.benchmark.bench import golden_batch
with Classifier.load(sys.argv[1]) as classifier:
    classifier.predict(golden_batch(classifier, 1000))
    before = time.process_time()
    time.sleep(float(sys.argv[2]))
    print(time.process_time() - before)
"""


def picture_folders(copies: int) -> tuple[Path, Path]:
    """Return a folder of 1,000 PNG files, and one with `copies` links to each of them, 1,000 files a sub-folder."""
    small, large = WORK / "pictures-1000", WORK / f"pictures-{copies}000"
    if not large.exists():
        shutil.rmtree(small, ignore_errors=True)
        (small / "0").mkdir(parents=True)
        originals = []
        for index, pixels in enumerate(images()[:1000]):
            originals.append(small / "0" / f"{index:04}.png")
            originals[-1].write_bytes(encode_png(pixels))
        unfinished = WORK / "pictures-unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        for copy in range(copies):
            (unfinished / f"{copy:03}").mkdir(parents=True)
            for original in originals:
                os.link(original, unfinished / f"{copy:03}" / original.name)
        unfinished.rename(large)
    return small, large


def main() -> None:
    """Measure and record."""
    rounds, quick = arguments(__doc__, rounds=3)
    bundle()
    small, large = picture_folders(10 if quick else 100)
    rows, targets = [], []
    commands = {
        "torchstone predict FOLDER": [*TORCHSTONE, "predict", str(BUNDLE)],
        "Classifier.stream": [sys.executable, "-c", STREAM, str(BUNDLE)],
    }
    for name, command in commands.items():
        found: dict[Path, list[Process]] = {small: [], large: []}
        for turn in range(1 if quick else rounds):
            for folder in (small, large) if turn % 2 else (large, small):
                found[folder].append(whole_process([*command, str(folder)]))
        fews, manys = ([process.peak_bytes for process in found[folder]] for folder in (small, large))
        few, many = int(np.median(fews)), int(np.median(manys))
        # Memory hardly varies: the extremes say more than an interval of a few rounds could.
        ratio = TimeEstimate(many / few, min(manys) / max(fews), max(manys) / min(fews))
        seconds = float(np.median([process.seconds for process in found[large]]))
        print(
            f"{name}: {few / 1e6:.0f} MB over 1,000 files, {many / 1e6:.0f} MB over many, {seconds:.1f} s", flush=True
        )
        rows.append({"name": name, "few_peak_bytes": few, "many_peak_bytes": many, "many_seconds": seconds})
        targets.append(
            Target(
                f"peak memory over {10 if quick else 100},000 files against 1,000, {name}", ratio, 1.2, at_least=False
            )
        )
    idle_for = 2 if quick else 10
    command = [sys.executable, "-c", IDLE, str(BUNDLE), str(idle_for)]
    idle = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)
    print(f"idle: {idle * 1000:.2f} ms of processor time in {idle_for} s", flush=True)
    more: dict[str, Any] = {"idle_seconds": idle_for, "idle_cpu_seconds": idle}
    record("folder_memory", rows=rows, targets=targets, rounds=rounds, quick=quick, **more)


if __name__ == "__main__":
    main()
