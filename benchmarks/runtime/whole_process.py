"""Whole commands in fresh processes, time and peak memory: `predict` of one file, and `evaluate` over 10,000 images.

Run: python -m benchmarks.runtime.whole_process [--rounds 7] [--quick]

Against the equivalent scripts with PyTorch (`peers`), in turns. `inspect` and `--help` are timed as well.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.runtime.stage import (
    BUNDLE,
    PEERS,
    TORCHSTONE,
    WORK,
    Process,
    Target,
    arguments,
    bundle,
    images,
    plain_data_dir,
    record,
    text,
    whole_processes,
)
from torchstone_runtime.benchmark.timing import TimeEstimate, quantile

PYTHON = [sys.executable]


def ratio(peer: list[Process], ours: list[Process], figure: str) -> TimeEstimate:
    """Return the median over the rounds of a peer's figure over ours."""
    return quantile([getattr(a, figure) / getattr(b, figure) for a, b in zip(peer, ours, strict=True)], 0.5)


def main() -> None:
    """Measure and record."""
    rounds, quick = arguments(__doc__, rounds=7)
    bundle()
    picture, out = WORK / "one.png", WORK / "report"
    Image.fromarray(images()[0, 0]).save(picture)
    data = str(plain_data_dir())
    evaluate = ["evaluate", str(BUNDLE), "--data", "fashion-mnist", "--data-dir", data]
    peer = [*PYTHON, str(PEERS / "evaluate_torch.py"), str(BUNDLE), data, str(WORK / "peer")]
    commands = {
        "torchstone --help": [*TORCHSTONE, "--help"],
        "torchstone inspect": [*TORCHSTONE, "inspect", str(BUNDLE)],
        "torchstone predict": [*TORCHSTONE, "predict", str(BUNDLE), str(picture)],
        "predict, torch": [*PYTHON, str(PEERS / "predict_torch.py"), str(BUNDLE), str(picture)],
        "predict, torch + torchvision": [*PYTHON, str(PEERS / "predict_torchvision.py"), str(BUNDLE), str(picture)],
        "torchstone evaluate": [*TORCHSTONE, *evaluate, "--json", f"{out}.json", "--report", f"{out}.html"],
        "evaluate, torch + torchvision + scikit-learn, DataLoader": [*peer, "loader"],
        "the same, slices of one tensor": [*peer, "tensor"],
    }
    found = whole_processes(commands, rounds)
    rows: list[dict[str, Any]] = []
    for name, processes in found.items():
        seconds = quantile([process.seconds for process in processes], 0.5)
        peak = int(np.median([process.peak_bytes for process in processes]))
        print(f"{name:<58}{text(seconds, '.2f')} s, {peak / 1e6:.0f} MB", flush=True)
        cpu = float(np.median([process.cpu_seconds for process in processes]))
        rows.append({"name": name, "seconds": seconds.to_json(), "cpu_seconds": cpu, "peak_bytes": peak})
    names = list(commands)
    targets = [
        Target(f"whole process, {what}: {ours} against {other}", ratio(found[other], found[ours], figure), 8.0)
        for ours, other, figure, what in (
            (names[2], names[3], "seconds", "time"),
            (names[2], names[3], "peak_bytes", "peak memory"),
            (names[2], names[4], "seconds", "time"),
            (names[2], names[4], "peak_bytes", "peak memory"),
            (names[5], names[6], "seconds", "time"),
            (names[5], names[7], "seconds", "time"),
        )
    ]
    record("whole_process", rows=rows, targets=targets, rounds=rounds, quick=quick)


if __name__ == "__main__":
    main()
