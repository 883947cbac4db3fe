"""A starting document's recipe on the real Fashion-MNIST: the whole of it takes minutes, so one epoch."""

import json
from pathlib import Path

import pytest

from helpers.support import run_torchstone


@pytest.mark.slow
@pytest.mark.data
def test_the_first_epoch_of_cnn3_learns(fashion_part: Path, tmp_path: Path) -> None:
    """From a tenth of the images: validation accuracy above 0.70; guessing reaches 0.10."""
    assert accuracy_of_one_epoch(fashion_part, tmp_path) > 0.70


@pytest.mark.study
@pytest.mark.data
def test_the_first_epoch_of_cnn3_on_all_images(data_dir: Path, tmp_path: Path) -> None:
    """Validation accuracy above 0.80."""
    assert accuracy_of_one_epoch(data_dir, tmp_path) > 0.80


def accuracy_of_one_epoch(data_dir: Path, folder: Path) -> float:
    """Train `cnn3` for an epoch by the command line; return its validation accuracy."""
    arguments = ("--dataset", "fashion-mnist", "--data-dir", data_dir, "--epochs", "1", "--out", folder / "run")
    result = run_torchstone("train", "cnn3", *arguments)
    assert result.returncode == 0, result.stderr
    (epoch,) = (json.loads(line) for line in (folder / "run" / "history.jsonl").read_text().splitlines())
    return float(epoch["validation"]["accuracy"])
