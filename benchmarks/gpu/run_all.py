"""Measure everything that needs a GPU, in pieces: python -m benchmarks.gpu.run_all [PIECE ...] [--results FOLDER].

Each piece runs in a process of its own, which is ended after its time; it keeps each step in FOLDER/PIECE.json as soon
as it is done. The same command goes on where an earlier one ended. `--dry-run` tries all of it on the CPU in small.
"""

import argparse
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.gpu.pieces import PIECES
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import DONE, read_steps, result_file, run_steps
from benchmarks.places import ROOT
from torchstone_runtime.errors import UsageError

_GRACE = 10
"""Seconds that a step which was begun in time may take beyond the piece's."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the pieces that were named, one after the other, and print what became of each."""
    asked = _parser().parse_args(arguments)
    if unknown := [name for name in asked.pieces if name not in PIECES]:
        raise UsageError(f"There is no piece '{unknown[0]}'.", f"There are {', '.join(PIECES)}.")
    asked.results.mkdir(parents=True, exist_ok=True)
    if asked.before is not None:
        _take_over(asked.before, asked.results, asked.pieces or list(PIECES))
    if asked.here:
        run_piece(asked.pieces[0], _setting(asked, PIECES[asked.pieces[0]].seconds))
        return
    print(budget(asked.pieces or list(PIECES), asked.seconds), flush=True)
    ends = time.monotonic() + asked.seconds
    for name in asked.pieces or PIECES:
        seconds = min(math.inf if asked.dry_run else PIECES[name].seconds, ends - time.monotonic())
        if seconds <= 0:
            print(f"{name}: not begun, no time left", flush=True)
            continue
        _run_in_process(name, asked, seconds)
    print(_summary(asked.results, asked.pieces or list(PIECES)))


def run_piece(name: str, setting: Setting) -> None:
    """Run a piece in this process."""
    setting.work.mkdir(parents=True, exist_ok=True)
    run_steps(name, PIECES[name].steps(setting), setting, lambda line: print(line, flush=True))


def budget(names: Sequence[str], seconds: float) -> str:
    """Return what the pieces may take, each and together, of the time that there is."""
    each = ", ".join(f"{name} {PIECES[name].seconds} s" for name in names)
    together = sum(PIECES[name].seconds for name in names)
    short = "" if together <= seconds else ": the last ones will be cut short, or not begun"
    return f"at most {each}; together {together} s of {seconds:.0f} s{short}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=", ".join(PIECES))
    parser.add_argument("--results", type=Path, default=Path(os.environ.get("OUT", ROOT / ".benchmarks" / "gpu")))
    earlier = "folder of earlier results, whose finished steps are taken over"
    parser.add_argument("--resume", "--before", dest="before", type=Path, metavar="FOLDER", help=earlier)
    parser.add_argument("--work", type=Path, default=ROOT / ".benchmarks" / "gpu-work")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("TORCHSTONE_DATA", "data")))
    parser.add_argument("--exports", type=Path, default=ROOT / ".gpu" / "exports")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--dry-run", action="store_true", help="small sizes on the CPU")
    parser.add_argument("--seconds", type=float, default=570.0, help="time for all pieces together")
    parser.add_argument("--here", action="store_true", help="one piece, in this process")
    return parser


def _setting(asked: argparse.Namespace, seconds: float) -> Setting:
    device = "cpu" if asked.dry_run else asked.device
    ends = time.monotonic() + (asked.seconds if asked.dry_run else min(seconds, asked.seconds))
    return Setting(device, asked.dry_run, asked.results, asked.work, asked.data, asked.exports, ends)


def _run_in_process(name: str, asked: argparse.Namespace, seconds: float) -> None:
    folders = {"results": asked.results, "work": asked.work, "data": asked.data, "exports": asked.exports}
    given = [f"--{key}={Path(value).absolute()}" for key, value in folders.items()]
    command = [sys.executable, "-m", "benchmarks.gpu.run_all", name, "--here", *given, f"--seconds={seconds}"]
    command += [f"--device={asked.device}", *(["--dry-run"] if asked.dry_run else [])]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": _python_path()}
    if not run_to_the_end(command, environment, seconds + _GRACE):
        print(f"{name}: ended after {seconds + _GRACE:.0f} s", flush=True)


def run_to_the_end(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> bool:
    """Run a command; return whether it ended in time, else it is killed with all processes that it began."""
    # A session of its own is a group: what the child began would hold the GPU after the child is gone.
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True) as child:
        try:
            child.wait(seconds)
        except BaseException as error:
            os.killpg(child.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return False
    return True


def _python_path() -> str:
    own = [str(ROOT / part) for part in ("runtime", "train", "export", ".")]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])


def _take_over(before: Path, results: Path, names: Sequence[str]) -> None:
    # Only of these: few files come back from a machine that is lent.
    for name in names:
        earlier, file = result_file(before, name), result_file(results, name)
        if earlier.is_file() and not file.exists():
            shutil.copy(earlier, file)


def _summary(results: Path, names: Sequence[str]) -> str:
    lines = []
    for name in names:
        states = {step: kept["state"] for step, kept in read_steps(results, name).items()}
        others = ", ".join(f"{step}: {state}" for step, state in states.items() if state != DONE)
        done = sum(state == DONE for state in states.values())
        lines.append(f"{name:16} {done} of {len(states)} steps done" + (f"; {others}" if others else ""))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
