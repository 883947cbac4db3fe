"""One measurement: a job of `score`, or `Classifier.stream`, in a process of its own; time, processor time, memory."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

_EVERY: Final = 0.25
"""Seconds between two looks at the memory of all processes of a job."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What is measured.

    Attributes:
        images: number of pictures.
        side: their height and width.
        engine: `local`, `ray`, or `stream` for `Classifier.stream`, with which `score` is compared.
        workers: threads of the local engine, workers of Ray.
        per_shard: pictures in a shard.
        turn: which repetition, from 0.
    """

    images: int
    side: int
    engine: str
    workers: int
    per_shard: int = 1000
    turn: int = 0

    @property
    def name(self) -> str:
        """Name of the file that the figures are kept in."""
        return "-".join(map(str, (self.side, self.images, self.engine, self.workers, self.per_shard, self.turn)))


def measure(cell: Cell, bundle: str, pictures: Path, scratch: Path) -> dict[str, Any] | None:
    """Run a cell; the start of the process is part of its time.

    Returns:
        The cell's own fields, `seconds`, `cpu_seconds` (of this process and those it waited for), `peak_mb` (of the
        largest process) and `all_mb` (largest sum over all processes, memory in common counted once); None where it
        failed, as Ray does when a busy machine does not start it in time.
    """
    out = scratch / "out"
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    process = subprocess.Popen(_command(cell, bundle, pictures, out), stdout=subprocess.DEVNULL)
    peak, ended = [0.0], Event()
    watch = Thread(target=_watch, args=(process.pid, peak, ended))
    watch.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    ended.set()
    watch.join()
    if process.returncode:
        return None
    shutil.rmtree(out, ignore_errors=True)
    cpu = usage.ru_utime + usage.ru_stime
    figures = {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": usage.ru_maxrss / 1024, "all_mb": peak[0]}
    return {**asdict(cell), **{name: round(value, 3) for name, value in figures.items()}}


def _command(cell: Cell, bundle: str, pictures: Path, out: Path) -> list[str]:
    if cell.engine == "stream":
        return [sys.executable, "-m", "benchmarks.scale.stream", bundle, str(pictures)]
    common = ["score", bundle, str(pictures), "--out", str(out), "--format", "jsonl", "-q"]
    common += ["--per-shard", str(cell.per_shard)]
    engine = ["--threads" if cell.engine == "local" else "--workers", str(cell.workers), "--engine", cell.engine]
    return [sys.executable, "-m", "torchstone_runtime", *common, *engine]


def _watch(process: int, peak: list[float], ended: Event) -> None:
    while not ended.wait(_EVERY):
        peak[0] = max(peak[0], sum(map(_megabytes, _family(process))))


def _family(process: int) -> set[int]:
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {process}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _megabytes(process: int) -> float:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("Pss:")), 0.0)
