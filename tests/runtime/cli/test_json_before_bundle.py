"""`--json` in front of the bundle: what it is followed by is the bundle, never the file to write."""

import json
from pathlib import Path

import pytest

from helpers.in_process import run_in_process


@pytest.mark.parametrize("command", [("inspect",), ("verify",), ("evaluate", "--data", "digits")])
def test_a_bundle_behind_the_option_is_the_bundle(digits_bundle: Path, command: tuple[str, ...]) -> None:
    """As it was when the option took no file."""
    result = run_in_process(*command, "--json", digits_bundle)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)


def test_a_model_file_behind_the_option_is_not_written_to(bundle_copy: Path) -> None:
    """It would be lost."""
    before = (bundle_copy / "model.onnx").read_bytes()
    result = run_in_process("evaluate", "--data", "digits", "--json", bundle_copy / "model.onnx")
    assert json.loads(result.stdout)["model"]["name"] in ("cnn3", "sprint-mnist")  # trained here, or stored
    assert (bundle_copy / "model.onnx").read_bytes() == before


def test_a_file_behind_the_option_is_written(digits_bundle: Path, tmp_path: Path) -> None:
    """Beside the text on stdout."""
    result = run_in_process("inspect", "--json", tmp_path / "about.json", digits_bundle)
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "about.json").read_text())["name"]


@pytest.mark.parametrize("command", ["doctor", "recipes"])
def test_a_command_without_arguments_runs(command: str) -> None:
    """Nothing stands behind nothing."""
    assert run_in_process(command).returncode in (0, 1)
