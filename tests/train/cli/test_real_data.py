"""A starting document's recipe on the real Fashion-MNIST: the whole of it takes minutes, so one epoch."""

import json
from pathlib import Path

import pytest

from helpers.support import run_torchstone


@pytest.mark.slow
@pytest.mark.data
def test_the_first_epoch_of_cnn3_learns(data_dir: Path, tmp_path: Path) -> None:
    """Validation accuracy after one epoch is above 0.80; guessing reaches 0.10."""
    arguments = ("--dataset", "fashion-mnist", "--data-dir", data_dir, "--epochs", "1", "--out", tmp_path / "run")
    result = run_torchstone("train", "cnn3", *arguments)
    assert result.returncode == 0, result.stderr
    (epoch,) = (json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines())

    assert epoch["validation"]["accuracy"] > 0.80
