"""Training in several processes by torchrun: as one process learns, and what is said where there are too few GPUs."""

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.gpu.setting import Setting
from benchmarks.gpu.steps import Steps
from benchmarks.gpu.train_program import NO_PICTURES, train_program
from benchmarks.gpu.trainings import require_device
from benchmarks.places import ROOT

_SECONDS: Final = 120


def steps(setting: Setting) -> Steps:
    """Return the steps of this piece."""
    require_device(setting)
    return {
        "more processes than GPUs": partial(_too_many, setting),
        "two processes": partial(_two, setting),
    }


def _too_many(setting: Setting) -> dict[str, Any]:
    if setting.device == "cpu":
        return {"refused": "a trial has no GPU"}
    count = torch.cuda.device_count()
    found = _train(setting, count + 1, "too-many")
    return {"gpus": count, "exit_code": found.returncode, "said": (found.stdout + found.stderr)[-2500:]}


def _two(setting: Setting) -> dict[str, Any]:
    if setting.device == "cuda" and torch.cuda.device_count() < 2:
        return {"refused": "this machine has one GPU"}
    found = {}
    for processes in setting.size((1, 2), (2,)):
        result = _train(setting, processes, f"processes-{processes}")
        if result.returncode:
            raise RuntimeError(result.stderr[:2000])
        lines = (setting.work / f"processes-{processes}" / "history.jsonl").read_text().splitlines()
        last = json.loads(lines[-1])
        found[f"{processes} processes"] = {
            "validation": last["validation"]["accuracy"],
            "images_per_second": last["images_per_second"],
        }
    return found


def _train(setting: Setting, processes: int, name: str) -> "subprocess.CompletedProcess[str]":
    shutil.rmtree(setting.work / name, ignore_errors=True)
    program = Path(setting.work) / "train_command.py"
    program.write_text(train_program(NO_PICTURES))
    # A batch that every number of processes up to 9 shares evenly.
    given = ["sprint-mnist", "--data", "fashion-mnist", "--data-dir", setting.data_dir(), "--epochs", 1]
    given += ["--batch-size", setting.size(2520, 40), "--device", setting.device]
    given += ["--out", setting.work / name]
    starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes]
    command = [*map(str, starter), str(program), *map(str, given)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=_SECONDS)
