"""`torchstone[openvino]` in an environment of its own: the wheel replaces ONNX Runtime, so it cannot lie beside it."""

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info >= (3, 14), reason="onnxruntime-openvino 1.24 has no release for Python 3.14"),
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has what `[openvino]` installs, and behind it all else that this one has."""
    folder = tmp_path_factory.mktemp("openvino") / "venv"
    venv.create(folder)
    here = folder / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["openvino"]]
    install = ["install", "--quiet", "--no-compile", "--constraint", str(ROOT / "constraints.txt"), *wanted]
    subprocess.run([sys.executable, "-m", "pip", "--python", str(here), *install], check=True, capture_output=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    others = [entry for entry in sys.path if entry.endswith("site-packages")]
    (site / "behind.pth").write_text("\n".join(others) + "\n")
    return here


SHORT_STOPWATCH = """
import sys
from torchstone_export.lossy import speed
from torchstone_runtime.cli.main import main
speed._SECONDS_A_CALL, speed._EXTENSIONS, speed._fitting = 0.001, 0, lambda _engine, images: images[:16]
sys.exit(main())
"""
"""The command line, where a variant's speed is a moment's guess: see `helpers.in_process`."""


def run(python: Path, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run that interpreter on this checkout."""
    sources = os.pathsep.join(str(ROOT / part) for part in ("runtime", "train", "export"))
    environment = {**os.environ, "PYTHONPATH": sources}
    command = [str(python), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=900)


def test_the_tests_of_openvino_pass_where_it_is_installed(python: Path) -> None:
    """None of them skipped: what `make test-openvino` runs."""
    options = ("-q", "-p", "no:cacheprovider", "--stored-bundle")
    result = run(python, "-m", "pytest", *options, "tests/runtime/inference/test_openvino.py")

    assert result.returncode == 0, result.stdout
    assert "passed" in result.stdout


def test_bf16_passes_the_gate_or_says_why_not(python: Path, digits_run: Path, tmp_path: Path) -> None:
    """Accuracy and speed are measured as for int8; shipped or not, the certificate has the figures or the reason."""
    out = tmp_path / "bundle"
    limits = ("--max-accuracy-drop", "0.5", "--min-speedup", "0.01")
    result = run(
        python, "-c", SHORT_STOPWATCH, "export", digits_run, "--out", out, "--bf16", "--no-torchscript", *limits
    )
    assert result.returncode == 0, result.stderr
    lossy = json.loads((out / "certificate.json").read_text())["lossy"]["bf16"]
    variants = json.loads((out / "manifest.json").read_text())["variants"]

    assert lossy["accepted"] == ("bf16" in variants), lossy["reasons"]
    if not lossy["accepted"]:
        assert "has none of" in lossy["reasons"][0]
        return
    assert (variants["bf16"]["file"], variants["bf16"]["provider"]) == ("model.onnx", "openvino")
    assert lossy["speed"]["ratio"] > 0
    assert lossy["speed_against_cpu"]["ratio"] > 0
    assert lossy["paired"]["samples"] == 359
    verified = run(python, "-m", "torchstone_runtime", "verify", out, "--data", "digits")
    assert verified.returncode == 0, verified.stderr
    assert "golden samples decide as at export, on openvino" in verified.stdout
