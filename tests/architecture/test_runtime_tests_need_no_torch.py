"""`make test-runtime` works where PyTorch isn't installed: nothing that tests/runtime loads may import it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "onnxscript", "matplotlib"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import pytest
sys.exit(pytest.main(["-p", "no:cacheprovider", "--quiet", *sys.argv[1:]]))
"""


def pytest_without_torch(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run pytest in a process in which PyTorch and what comes with it can't be imported."""
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


@pytest.mark.parametrize(
    "line", ["import torch", "from torchvision import transforms", "import torchstone_train.run_training"]
)
def test_the_check_finds_a_test_that_imports_it(tmp_path: Path, line: str) -> None:
    """The canary, directly and through a package of ours."""
    (tmp_path / "test_it.py").write_text(f"{line}\n\n\ndef test_it() -> None:\n    pass\n")
    result = pytest_without_torch("--collect-only", f"--rootdir={tmp_path}", "-c", ROOT / "pyproject.toml", tmp_path)

    assert result.returncode != 0
    assert "No module named 'torch" in result.stdout
