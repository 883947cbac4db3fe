"""A fine-tuning whose head begins as a probe."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchstone
from helpers.in_process import run_in_process
from torchstone_train.run.run_dir import RunDirectory

STILL = ("--epochs", "1", "--lr", "1e-12", "--set", "ema=0", "--set", "warmup_epochs=0", "--set", "head_epochs=0")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour pictures of 12 x 12 in three classes of 20, each of another colour."""
    generator, labels = np.random.default_rng(2), np.arange(60) % 3
    images = generator.integers(0, 120, (60, 3, 12, 12))
    images[np.arange(60), labels] += 100
    file = tmp_path_factory.mktemp("photos") / "photos.npz"
    np.savez(file, images=images.astype(np.uint8), labels=labels)
    return file


def trained(recipe: str, data: Path, out: Path, *more: str, backbone: str = "helpers.small_backbone:build") -> Any:  # noqa: ANN401
    """Train; return what the process gave."""
    given = ("--backbone", backbone, "--mean", "0.5", "--std", "0.25", "--device", "cpu")
    return run_in_process("train", recipe, *given, "--data", f"npz:{data}", "--out", out, *more)


def head_of(run: Path) -> torch.Tensor:
    """Return the weights of the last layer."""
    return RunDirectory.open(run).read_weights()["classifier.weight"]


def test_the_head_begins_with_the_weights_of_a_probe(photos: Path, tmp_path: Path) -> None:
    """A training that moves nothing leaves the probe's head; fresh weights are others."""
    trained("probe", photos, tmp_path / "probe")
    trained("finetune", photos, tmp_path / "tuned", *STILL, "--set", "head_start=probe", "--set", "class_weights=auto")
    trained("finetune", photos, tmp_path / "fresh", *STILL, "--set", "head_start=random")
    probe = head_of(tmp_path / "probe")
    torch.testing.assert_close(head_of(tmp_path / "tuned"), probe, rtol=0, atol=1e-5)
    assert float((head_of(tmp_path / "fresh") - probe).abs().max()) > 0.1


def test_random_changes_have_no_part_in_the_head(photos: Path, tmp_path: Path) -> None:
    """It is fitted on the pictures as they will be decided on, and finds the features that a probe has kept."""
    trained("probe", photos, tmp_path / "probe")
    options = ("--set", "head_start=probe", "--set", "class_weights=auto", "--augment", "random-resized-crop,flip")
    found = trained("finetune", photos, tmp_path / "tuned", *STILL, *options)
    assert "0 computed now" in found.stderr
    torch.testing.assert_close(head_of(tmp_path / "tuned"), head_of(tmp_path / "probe"), rtol=0, atol=1e-5)


def test_a_run_that_is_replaced_begins_anew(photos: Path, tmp_path: Path) -> None:
    """The checkpoint of the run that stood there is none of the new one's."""
    out = tmp_path / "run"
    first = trained("finetune", photos, out, *STILL, "--set", "head_start=probe")
    kept = head_of(out)
    shutil.rmtree(tmp_path / ".features")
    again = trained("finetune", photos, out, *STILL, "--set", "head_start=probe", "--overwrite")
    assert "features 39 images" in first.stderr, first.stderr
    assert "features 39 images" in again.stderr, again.stderr
    torch.testing.assert_close(head_of(out), kept)


def test_a_run_that_goes_on_does_not_begin_its_head_again(photos: Path, tmp_path: Path) -> None:
    """What was learnt in the first epoch stays."""
    out = tmp_path / "run"
    trained("finetune", photos, out, "--epochs", "2", "--target-accuracy", "0.01", "--set", "head_start=probe")
    found = trained("finetune", photos, out, "--epochs", "2", "--set", "head_start=probe", "--resume")
    assert found.returncode == 0, found.stderr
    assert "features" not in found.stdout + found.stderr


SPOILT = ("--epochs", "1", "--lr", "100", "--set", "warmup_epochs=0", "--set", "head_epochs=0", "--set", "ema=0")


def test_the_fitted_head_is_kept_where_every_epoch_is_worse(photos: Path, tmp_path: Path) -> None:
    """A rate that spoils everything leaves the probe; the run, and who reads it, say so."""
    trained("probe", photos, tmp_path / "probe")
    options = ("--set", "head_start=probe", "--set", "class_weights=auto")
    found = trained("finetune", photos, tmp_path / "tuned", *SPOILT, *options)
    assert "best before the first epoch, with the fitted last layer" in found.stdout + found.stderr
    torch.testing.assert_close(head_of(tmp_path / "tuned"), head_of(tmp_path / "probe"), rtol=0, atol=1e-5)
    run = torchstone.TrainingRun.open(tmp_path / "tuned")
    assert run.best_epoch == 0
    assert run.metrics == run.info["metrics"]["validation"] == run.info["beginning"]
    assert run.metrics["accuracy"] > run.history[0]["validation"]["accuracy"]


def test_a_run_that_goes_on_keeps_its_beginning(photos: Path, tmp_path: Path) -> None:
    """Epochs that are added are compared with the fitted head too."""
    out, options = tmp_path / "run", ("--set", "head_start=probe")
    trained("finetune", photos, out, *SPOILT, *options)
    begun = head_of(out)
    longer = ("--epochs", "2", *SPOILT[2:])
    found = trained("finetune", photos, out, *longer, *options, "--resume")
    assert found.returncode == 0, found.stderr
    assert RunDirectory.open(out).read_info()["best_epoch"] == 0
    torch.testing.assert_close(head_of(out), begun, rtol=0, atol=0)


def test_the_fitted_head_outlives_a_loss_that_is_no_number(photos: Path, tmp_path: Path) -> None:
    """The training fails, and what it began with can be exported."""
    rate = ("--epochs", "2", "--lr", "1e30", "--set", "warmup_epochs=0", "--set", "head_epochs=0", "--set", "ema=0")
    found = trained("finetune", photos, tmp_path / "run", *rate, "--set", "head_start=probe")
    assert found.returncode == 1
    assert "The weights with the fitted last layer are kept." in found.stderr
    assert bool(torch.isfinite(head_of(tmp_path / "run")).all())


def test_a_backbone_whose_answer_is_no_layers_begins_fresh(photos: Path, tmp_path: Path) -> None:
    """One line says so, and the training goes on."""
    two = ("--head", "classifier", *STILL, "--set", "head_start=probe")
    found = trained("finetune", photos, tmp_path / "run", *two, backbone="helpers.small_backbone:averaged")
    assert found.returncode == 0, found.stderr
    assert "head     starts from random weights, not as a probe" in found.stdout + found.stderr
