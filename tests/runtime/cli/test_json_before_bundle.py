"""`--json` in front of the bundle: what it is followed by is the bundle, never the file to write."""

import json
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.data.split import Split


@pytest.fixture
def pictures(tmp_path: Path, digits: Split) -> list[Path]:
    """Two digits as PNG files."""
    from PIL import Image

    paths = [tmp_path / f"digit-{number}.png" for number in range(2)]
    for path, pixels in zip(paths, next(digits.batches(2)), strict=True):
        Image.fromarray(pixels[0]).save(path)
    return paths


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


def test_where_paths_follow_they_stay_paths(digits_bundle: Path, pictures: list[Path]) -> None:
    """However many there are, and wherever the option stands."""
    first, second = pictures
    result = run_in_process("predict", digits_bundle, first, "--json", second)
    assert [json.loads(line)["path"] for line in result.stdout.splitlines()] == [str(first), str(second)]


def test_where_paths_follow_a_file_needs_the_equals_sign(
    digits_bundle: Path, pictures: list[Path], tmp_path: Path
) -> None:
    """Its lines are those of --format jsonl; what is printed stays as it is."""
    plain = run_in_process("predict", digits_bundle, *pictures)
    lines = run_in_process("predict", digits_bundle, *pictures, "--format", "jsonl")
    both = run_in_process("predict", digits_bundle, f"--json={tmp_path / 'answers.jsonl'}", *pictures)
    assert both.stdout == plain.stdout
    assert (tmp_path / "answers.jsonl").read_text() == lines.stdout


def test_a_picture_may_have_the_options_name(digits_bundle: Path, pictures: list[Path], tmp_path: Path) -> None:
    """Behind the two dashes that end options."""
    (tmp_path / "--json").write_bytes(pictures[0].read_bytes())
    result = run_in_process("predict", digits_bundle, "--", "--json", cwd=tmp_path)
    assert result.stdout.startswith("--json\t"), result.stderr


def test_scoring_counts_its_rows(digits_bundle: Path, pictures: list[Path], tmp_path: Path) -> None:
    """Parts and rows of this run; of the next one, which finds them there, none."""
    command = ("score", digits_bundle, "--json", pictures[0], "--format", "csv", "--out", tmp_path / "scores")
    first, second = (json.loads(run_in_process(*command).stdout) for _ in range(2))
    assert {key: first[key] for key in ("parts", "parts_there_before", "rows")} == {
        "parts": 1,
        "parts_there_before": 0,
        "rows": 1,
    }
    assert (second["parts"], second["parts_there_before"], second["rows"]) == (0, 1, 0)
