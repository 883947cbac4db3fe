"""The runtime never imports the heavy packages, neither directly nor through others."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers.support import RUNTIME_HEAVY

ROOT = Path(__file__).parents[2]

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported_by(package: str) -> set[str]:
    """Return the top-level packages loaded once every module of `package` is imported in a fresh interpreter."""
    command = [sys.executable, "-c", IMPORT_EVERYTHING, package]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_every_runtime_module_loads_no_heavy_package() -> None:
    """All modules of the runtime together load none of PyTorch, torchvision, onnx, scikit-learn, scipy."""
    assert imported_by("torchstone_runtime").isdisjoint(RUNTIME_HEAVY)


def test_the_same_check_finds_what_a_module_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary: the check above can fail, for it finds a heavy package that a module inside a package imports."""
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    (tmp_path / "outer" / "__init__.py").touch()
    (tmp_path / "outer" / "inner" / "__init__.py").touch()
    (tmp_path / "outer" / "inner" / "module.py").write_text("import scipy\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    assert imported_by("outer") & set(RUNTIME_HEAVY) == {"scipy"}


def test_help_loads_neither_numpy_nor_onnxruntime() -> None:
    """`torchstone --help`, which lists the commands of all parts, loads nothing heavy at all."""
    script = (
        "import sys\n"
        "from torchstone_runtime.cli.main import _run\n"
        "assert _run(['--help'], debug=False) == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.splitlines()[-1].split())

    assert "quickstart" in result.stdout
    assert loaded.isdisjoint({*RUNTIME_HEAVY, "numpy", "onnxruntime", "PIL"})


def test_inspect_loads_neither_numpy_nor_onnxruntime(digits_bundle: Path) -> None:
    """It reads one JSON file, and costs no more than that."""
    script = (
        "import sys\n"
        "from torchstone_runtime.cli.main import _run\n"
        "assert _run(['inspect', sys.argv[1]], debug=False) == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    command = [sys.executable, "-c", script, str(digits_bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.splitlines()[-1].split())

    assert "classes      10: 0, 1" in result.stdout
    assert loaded.isdisjoint({*RUNTIME_HEAVY, "numpy", "onnxruntime", "PIL"})


@pytest.mark.parametrize("package", ["torch", "torchvision", "onnx", "sklearn", "scipy", "torchstone_train"])
def test_the_linter_refuses_heavy_imports_in_the_runtime(package: str) -> None:
    """Ruff reports a banned import, even inside a function, in a file of the runtime."""
    code = f'"""Doc."""\n\n\ndef load() -> None:\n    """Doc."""\n    import {package}\n'
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "runtime/torchstone_runtime/x.py", "-"]
    result = subprocess.run(command, input=code, capture_output=True, text=True, cwd=ROOT, check=False)

    assert result.returncode == 1
    assert "TID251" in result.stdout


def test_the_linter_allows_heavy_imports_in_the_training() -> None:
    """The ban holds for the runtime only."""
    code = '"""Doc."""\n\nimport torch\n\nprint_version = torch.__version__\n'
    command = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "train/torchstone_train/x.py", "-"]
    result = subprocess.run(command, input=code, capture_output=True, text=True, cwd=ROOT, check=False)

    assert "TID251" not in result.stdout


def test_the_import_contracts_are_kept() -> None:
    """import-linter analyses all three packages and finds every contract kept."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert result.returncode == 0, result.stdout
    assert "Contracts: 6 kept, 0 broken." in result.stdout
