"""`make` installs the runtime that fits the machine, and says what it can do."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from torchstone_runtime.bundle.builtin import locate_bundle

ROOT = Path(__file__).parents[2]


def make(*arguments: str, path: Path | None = None) -> str:
    """Return what make prints, with `path` before everything else on PATH; nothing is run with -n."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else dict(os.environ)
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=True).stdout


@pytest.mark.parametrize(
    ("answer", "extra"),
    [("echo 'GPU 0: NVIDIA H200 (UUID: GPU-1)'", "gpu"), ("echo 'No devices found.'", "cpu"), ("exit 9", "cpu")],
)
def test_the_gpu_runtime_is_installed_only_where_a_gpu_is_listed(tmp_path: Path, answer: str, extra: str) -> None:
    """What `nvidia-smi -L` says decides; a driver without a GPU is no GPU."""
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{answer}\n")
    command.chmod(0o755)

    assert f"--editable '.[{extra},serve,train,export,timm,sign]'" in make("-n", "-B", "install", path=tmp_path)


def test_help_lists_every_target_that_is_meant_for_people() -> None:
    """Each phony target has a line."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None

    assert set(re.findall(r"make ([a-z-]+)", make("help"))) == set(phony[1].split())


def test_the_example_is_exported_as_it_is_shipped() -> None:
    """To where the name `fashion` leads; int8 where it is accepted, and nothing that the runtime doesn't run."""
    commands = make("-n", "example", "RUN=runs/stone-m")

    assert f"export runs/stone-m --out {locate_bundle('fashion').relative_to(ROOT)} " in commands
    assert "--no-torchscript --int8 --default-variant int8" in commands


def test_an_example_without_a_run_is_refused(tmp_path: Path) -> None:
    """Before anything is exported."""
    (tmp_path / ".installed").touch()
    command = ["make", "example", f"STAMP={tmp_path}/.installed", "RUN="]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert result.returncode == 2
    assert "make example RUN=runs/stone-m" in result.stderr


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """`.ci/run` ends in `make test` and nothing else."""
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"
    assert "`make test`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_quick_tests_are_where_the_makefile_looks_for_them() -> None:
    """What it takes and what it leaves out exists; pytest would pass over an --ignore that leads nowhere."""
    paths = re.findall(r"(?<= )tests/[\w./]+", make("-n", "test-quick"))

    assert len(paths) > 5
    assert [path for path in paths if not (ROOT / path).exists()] == []
