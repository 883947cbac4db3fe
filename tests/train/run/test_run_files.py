import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from torchstone_runtime.errors import DataError, UsageError
from torchstone_train.run.run_dir import RunDirectory

INFO = {
    "format_version",
    "recipe",
    "seed",
    "dataset",
    "class_names",
    "input",
    "device",
    "versions",
    "git_commit",
    "precision",
    "deterministic",
    "started",
    "stop_reason",
    "stop_detail",
    "epochs_run",
    "best_epoch",
    "seconds",
    "metrics",
}
RECORD = {"epoch", "train", "validation", "learning_rate", "images_per_second", "seconds", "ended", "best"}
FIGURES = {
    "loss",
    "accuracy",
    "balanced_accuracy",
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
}


@pytest.fixture(scope="module")
def info(tiny_run: Path) -> dict[str, Any]:
    """The content of run.json."""
    data: dict[str, Any] = json.loads((tiny_run / "run.json").read_text())
    return data


@pytest.fixture(scope="module")
def history(tiny_run: Path) -> list[dict[str, Any]]:
    """The lines of history.jsonl."""
    return [json.loads(line) for line in (tiny_run / "history.jsonl").read_text().splitlines()]


def test_run_has_the_files_of_the_design(tiny_run: Path) -> None:
    """run.json, history, weights, checkpoint, figures, TensorBoard and report; nothing else."""
    names = {"run.json", "history.jsonl", "best.safetensors", "last", "figures", "tensorboard", "report.html"}
    assert {entry.name for entry in tiny_run.iterdir()} == names


def test_run_json_is_complete(info: dict[str, Any]) -> None:
    """Everything that the design lists is there."""
    assert set(info) == INFO


def test_run_json_has_the_resolved_recipe(info: dict[str, Any]) -> None:
    """What was overridden on the command line is what run.json records."""
    assert (info["recipe"]["name"], info["recipe"]["epochs"], info["recipe"]["batch_size"]) == ("cnn3", 3, 64)


def test_run_json_fingerprints_each_split(info: dict[str, Any]) -> None:
    """144 images are left beside the test fifth; a fifth of them validates."""
    splits = [info["dataset"][name] for name in ("train", "validation", "test")]
    assert [split["samples"] for split in splits] == [114, 30, 36]
    assert all(len(split["fingerprint"]) == 64 for split in splits)
    assert len({split["fingerprint"] for split in splits}) == 3


def test_run_json_says_where_and_how_it_ended(info: dict[str, Any]) -> None:
    """Stop reason, epochs, device and time are recorded for programs."""
    assert (info["stop_reason"], info["epochs_run"], info["device"]["type"]) == (
        "max_epochs",
        3,
        info["device"]["type"],
    )
    assert info["device"]["reason"]
    assert info["seconds"] > 0
    assert {"python", "torch", "torchvision", "torchstone"} <= set(info["versions"])


def test_history_has_a_complete_line_an_epoch(history: list[dict[str, Any]]) -> None:
    """Losses, accuracy, precision, recall, F1 (macro and weighted), learning rate, images/s."""
    assert [record["epoch"] for record in history] == [1, 2, 3]
    for record in history:
        assert set(record) == RECORD
        assert set(record["train"]) == set(record["validation"]) == FIGURES


def test_final_metrics_are_those_of_the_best_epoch(info: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """run.json repeats the validation figures of the epoch whose weights are kept."""
    assert info["metrics"]["validation"] == history[info["best_epoch"] - 1]["validation"]
    assert info["metrics"]["validation"]["accuracy"] == max(r["validation"]["accuracy"] for r in history)


def test_times_add_up(info: dict[str, Any], history: list[dict[str, Any]]) -> None:
    """The seconds of the run are those of its epochs."""
    assert info["seconds"] == pytest.approx(sum(record["seconds"] for record in history))


def test_creating_refuses_a_run_that_is_there(tiny_run: Path, tmp_path: Path) -> None:
    """A finished run is not overwritten unless asked for."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    with pytest.raises(UsageError, match="holds a run already"):
        RunDirectory.create(run, overwrite=False)
    assert (run / "best.safetensors").is_file()


def test_creating_with_overwrite_empties_the_run(tiny_run: Path, tmp_path: Path) -> None:
    """What a kill left half-written goes as well."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / ".run.json.abc.partial").touch()
    RunDirectory.create(run, overwrite=True)
    assert [entry.name for entry in run.iterdir()] == ["last"]


@pytest.mark.parametrize("with_run", [True, False])
def test_overwrite_never_deletes_foreign_files(tiny_run: Path, tmp_path: Path, *, with_run: bool) -> None:
    """A directory with files that no training wrote is refused and left as it is, run or no run."""
    folder = shutil.copytree(tiny_run, tmp_path / "run") if with_run else tmp_path
    (folder / "thesis.tex").write_text("years of work")
    before = sorted(folder.iterdir())
    with pytest.raises(UsageError, match=r"other files.*thesis\.tex"):
        RunDirectory.create(folder, overwrite=True)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"format_version": 99}', b"\xff\xfe"])
def test_damaged_run_json_is_told(tiny_run: Path, tmp_path: Path, content: bytes) -> None:
    """Anything that is not a run.json of this format is a DataError that names the file."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "run.json").write_bytes(content)
    with pytest.raises(DataError, match=r"run\.json"):
        RunDirectory.open(run).read_info()


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_truncated_weights_are_told(tiny_run: Path, tmp_path: Path, keep: int) -> None:
    """A weights file that was cut off is a DataError that names it."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    os.truncate(run / "best.safetensors", keep)
    with pytest.raises(DataError, match=r"best\.safetensors is damaged"):
        RunDirectory.open(run).read_weights()


def test_damaged_checkpoint_is_told(tiny_run: Path, tmp_path: Path) -> None:
    """A checkpoint that is no longer whole is a DataError, not a crash inside PyTorch."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    os.truncate(run / "last" / "checkpoint.pt", 1000)
    with pytest.raises(DataError, match=r"checkpoint\.pt is damaged"):
        RunDirectory.open(run).read_checkpoint()


def test_folder_without_run_is_told(tmp_path: Path) -> None:
    """Opening what is not a run says what is missing."""
    with pytest.raises(DataError, match="is an empty folder, and has no run"):
        RunDirectory.open(tmp_path)
