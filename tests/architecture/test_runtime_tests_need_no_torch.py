"""`make test-runtime` works where PyTorch isn't installed: nothing that tests/runtime loads may import it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnxscript", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "--assert=plain", "--quiet", *sys.argv[1:]]))
"""


def pytest_without_torch(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run pytest in a process in which PyTorch and what comes with it can't be imported.

    Its assertions are left as they are written: to make them explain themselves takes longer than the rest.
    """
    command = [sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_every_test_of_the_runtime_is_collected() -> None:
    """No module of theirs, no helper and no conftest imports it."""
    result = pytest_without_torch("--collect-only", "tests/runtime")

    assert result.returncode == 0, result.stdout[-3000:]


def test_a_bundle_is_there_that_nobody_trains(tmp_path: Path) -> None:
    """The stored one: a command runs on it."""
    chosen = "tests/runtime/cli/test_cli_bundle_commands.py::test_inspect_json_is_the_manifest"
    result = pytest_without_torch("--stored-bundle", f"--basetemp={tmp_path / 'tests'}", chosen)

    assert result.returncode == 0, result.stdout[-3000:]
    assert "1 passed" in result.stdout


def test_the_check_finds_each_test_that_imports_it(tmp_path: Path) -> None:
    """The canary, directly and through a package of ours; a test beside them is collected."""
    lines = {
        "torch": "import torch",
        "torchvision": "from torchvision import transforms",
        "ours": "import torchstone_train.run_training",
        "none": "import json",
    }
    for name, line in lines.items():
        (tmp_path / f"test_{name}.py").write_text(f"{line}\n\n\ndef test_it() -> None:\n    pass\n")
    result = pytest_without_torch("--collect-only", f"--rootdir={tmp_path}", "-c", ROOT / "pyproject.toml", tmp_path)

    assert result.returncode != 0
    assert result.stdout.count("No module named 'torch") == 3
    for name in lines:
        assert (f"ERROR collecting test_{name}.py" in result.stdout) == (name != "none"), result.stdout
