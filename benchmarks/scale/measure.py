"""Images a second and memory of `score` over growing inputs, beside `Classifier.stream` over the same files.

Run: python -m benchmarks.scale.measure OUT.json [--counts 1000,10000,100000] [--side 28] [--bundle fashion]
"""

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from torchstone_runtime.system.machine import describe_machine

_DISTINCT: Final = 500
"""Pictures that are encoded; the files are these over and over, for encoding a million would measure the encoder."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--counts", default="1000,10000,100000")
    parser.add_argument("--side", type=int, default=28)
    parser.add_argument("--bundle", default="fashion")
    given = parser.parse_args()
    rows = [_measure(given.bundle, count, given.side) for count in map(int, given.counts.split(","))]
    given.out.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=2) + "\n")


def write_pictures(folder: Path, count: int, side: int) -> None:
    """Write JPEG files of noise, 1,000 to a folder."""
    random = np.random.default_rng(0)
    contents = []
    for _ in range(min(count, _DISTINCT)):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (side, side), dtype=np.uint8)).save(buffer, "JPEG")
        contents.append(buffer.getvalue())
    for number in range(count):
        place = folder / f"{number // 1000:06}"
        place.mkdir(exist_ok=True)
        (place / f"{number % 1000:03}.jpg").write_bytes(contents[number % len(contents)])


def _measure(bundle: str, count: int, side: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "in").mkdir()
        write_pictures(root / "in", count, side)
        row: dict[str, Any] = {"images": count, "side": side}
        for threads in (1, 2):
            arguments = ["score", bundle, "in", "--out", f"out-{threads}", "--format", "jsonl", "-q"]
            command = [sys.executable, "-m", "torchstone_runtime", *arguments, "--threads", str(threads)]
            row[f"score, {threads} threads"] = _timed(command, root, count)
        row["stream"] = _timed([sys.executable, "-m", "benchmarks.scale.stream", bundle, str(root / "in")], None, count)
        print(row, flush=True)
        return row


def _timed(command: list[str], folder: Path | None, count: int) -> dict[str, float]:
    """Run a program; its start is part of the time."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder)
    _, status, usage = _wait(process)
    seconds = time.perf_counter() - started
    assert status == 0, command
    return {"seconds": seconds, "images_per_second": count / seconds, "peak_mb": usage.ru_maxrss / 1024}


def _wait(process: "subprocess.Popen[bytes]") -> tuple[int, int, resource.struct_rusage]:

    found = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(found[1])
    return found


if __name__ == "__main__":
    main()
