"""Jobs that score pictures on Ray, and the processes that they consist of."""

import subprocess
import sys
from pathlib import Path

MANY = ("--per-shard", "10", "--probabilities")
"""Options of the jobs that are compared: many parts, and all that is written of a picture."""


def parts(folder: Path) -> dict[str, bytes]:
    """Return the parts of a job by name."""
    return {path.name: path.read_bytes() for path in folder.glob("part-*")}


def score_with_ray(pictures: Path, out: Path) -> subprocess.Popen[str]:
    """Begin a job on a Ray cluster of two workers."""
    engine = ["--engine", "ray", "--workers", "2", "--format", "jsonl", *MANY]
    command = [
        sys.executable,
        "-m",
        "torchstone_runtime",
        "score",
        "fashion",
        str(pictures),
        "--out",
        str(out),
        *engine,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def descendants(process: int) -> dict[int, str]:
    """Return the names of the processes that a process started, and those started, by their ids."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        parents[int(path.name)] = int(fields[1])
    found: dict[int, str] = {}
    while more := {one for one, parent in parents.items() if parent in {process, *found}} - found.keys():
        found |= {one: names[one] for one in more}
    return found
