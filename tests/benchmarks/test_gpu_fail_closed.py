"""Taking libraries away: what is told of TF32 and of a library that isn't there."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.gpu import fail_closed
from benchmarks.gpu.setting import Setting
from torchstone_runtime.inference.gpu_options import TF32_VARIABLE


def setting(work: Path, *, dry_run: bool) -> Setting:
    """Return a setting of a GPU."""
    return Setting("cuda", dry_run, work, work, work, work)


def test_tensorrt_is_not_refused_for_its_tf32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That refusal comes first, whatever is missing."""
    commands: list[Sequence[str]] = []

    def run(_: object, command: Sequence[str], __: float) -> "subprocess.CompletedProcess[str]":
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fail_closed, "run_without", run)
    fail_closed.steps(setting(tmp_path, dry_run=False))["tensorrt, everything there"]()

    assert [f"{TF32_VARIABLE}=0" in command for command in commands] == [True, True]


def test_a_library_without_copies_is_no_proof(tmp_path: Path) -> None:
    """Nothing was hidden, so that nothing was measured."""
    steps = fail_closed.steps(setting(tmp_path, dry_run=True))

    assert steps["without libcuda.so.1"]() == "no copy found; nothing was hidden"
