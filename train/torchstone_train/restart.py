"""Runs that go on after `torchrun` has started its processes again, on machines that need not share a disk."""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from torchstone_runtime.errors import DataError, first_line
from torchstone_runtime.files import reported_as_output_error, write_atomic
from torchstone_train.compute.distributed import World, launch
from torchstone_train.request import TrainingRequest
from torchstone_train.run.run_dir import RunDirectory

_CARRIED: Final = ("last/checkpoint.pt", "history.jsonl", "run.json")
"""What a process reads of a run that goes on; `run.json` last, so that half a copy is not a run."""


def gone_on_with(request: TrainingRequest, world: World, opened: ExitStack) -> TrainingRequest:
    """Return the request that this process is to fulfil, so that all of them go on with the same run.

    After a restart the run that the same launch began is resumed. A machine that lacks the run, or has an older state
    of it, gets a copy from the one that has most epochs: the first process at its `out`, another one in a temporary
    folder. The first process alone writes a run, and which one that is may change with a restart.

    Args:
        request: request of a person, the same in all processes.
        world: processes that train together.
        opened: stack that the temporary folder lasts as long as.

    Raises:
        OutputError: the copy cannot be written.
    """
    if world.size == 1 and not _restarts():
        return request
    restarted = any(world.exchange(_restarts()))
    if not (restarted or request.resume):
        return request
    states = world.exchange(_epochs_done(request))
    most = max(states)
    if most < 0:
        return request  # nothing was begun, or --resume names no run
    if not request.resume:
        request = replace(request, resume=True, overwrite=False)
    source = states.index(most)
    lacking = [rank for rank, done in enumerate(states) if done < most]
    if not lacking:
        return request
    files = world.exchange(_read(request.out) if world.rank == source else None)[source]
    if world.rank not in lacking or files is None:
        return request
    if not world.is_first:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="torchstone-run-"))
        request = replace(request, out=Path(folder))
    _write(request.out, files)
    return request


def _restarts() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def _epochs_done(request: TrainingRequest) -> int:
    """Return how many epochs this machine has of the run that is to go on; -1 where it has no such run."""
    try:
        run = RunDirectory.open(request.out)
        ours = request.resume or run.read_info().get("launch") == launch()
        return len(run.read_history()) if ours else -1
    except DataError:  # no run, or a damaged one: whoever reads it alone says so
        return -1


def _read(run: Path) -> dict[str, bytes]:
    try:
        return {name: (run / name).read_bytes() for name in _CARRIED if (run / name).is_file()}
    except OSError as error:
        raise DataError(f"The run {run} cannot be read: {first_line(error)}.") from error


def _write(run: Path, files: dict[str, bytes]) -> None:
    with reported_as_output_error(run):
        (run / "last").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomic(run / name, content)
