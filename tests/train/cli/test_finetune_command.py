"""`torchstone train finetune` on the command line: options, a configuration file, a run repeated, one message each."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import torchstone
from helpers.in_process import run_in_process
from helpers.small_backbone import build
from helpers.support import assert_refused

OWN = "helpers.small_backbone:build"


@pytest.fixture(autouse=True)
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes most of the time and is not looked at here."""
    monkeypatch.setattr("torchstone_train.report.run_results.RunResults.write", lambda *_: None)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> str:
    """45 images of 8 x 8 in three classes."""
    file = tmp_path_factory.mktemp("colours") / "colours.npz"
    images = np.random.default_rng(3).integers(0, 256, (45, 3, 8, 8)).astype(np.uint8)
    np.savez(file, images=images, labels=np.arange(45) % 3)
    return f"npz:{file}"


def options(data: str, out: Path) -> list[str | Path]:
    """Return what every training here has."""
    given = ["--mean", "0.5,0.4,0.3", "--std", "0.25", "--epochs", "2", "--device", "cpu", "--set", "amp=off"]
    return ["--data", data, "-o", out, *given]


def test_run_is_repeated_from_its_json(colours: str, tmp_path: Path) -> None:
    """Its file of weights has to be named again, and has to be the same; then the weights are the same bytes."""
    file, other = tmp_path / "own.pth", tmp_path / "other.pth"
    torch.save(build().state_dict(), file)
    torch.save(build(pretrained=False).state_dict(), other)
    first, again = tmp_path / "first", tmp_path / "again"
    arguments = ("--backbone", OWN, "--weights", file, "--set", "mixup=0.2")
    trained = run_in_process("train", "finetune", *arguments, *options(colours, first))
    assert trained.returncode == 0, trained.stderr
    unnamed = run_in_process("train", "--from", first / "run.json", "-o", again)
    assert_refused(unnamed, "started from the weights own.pth", "Name the file with --weights")
    wrong = run_in_process("train", "--from", first / "run.json", "-o", again, "--weights", other)
    assert_refused(wrong, "not the weights that the run began with")
    repeated = run_in_process("train", "--from", first / "run.json", "-o", again, "--weights", file, "--device", "cpu")
    assert repeated.returncode == 0, repeated.stderr
    assert (again / "best.safetensors").read_bytes() == (first / "best.safetensors").read_bytes()


def test_configuration_file_and_python_train_the_same(colours: str, tmp_path: Path) -> None:
    """Backbone, weights, normalisation by channel, and the fields of fine-tuning."""
    config = tmp_path / "train.toml"
    config.write_text(
        f'recipe = "finetune"\nbackbone = "{OWN}"\nweights = "none"\ndata = "{colours}"\ndevice = "cpu"\n'
        'mean = [0.5, 0.4, 0.3]\nstd = 0.25\nepochs = 2\nfreeze = 1\n[set]\namp = "off"\ncutmix = 1\n'
    )
    result = run_in_process("train", "--config", config, "-o", tmp_path / "file")
    assert result.returncode == 0, result.stderr
    run = torchstone.train(
        "finetune",
        backbone=OWN,
        weights="none",
        data=colours,
        device="cpu",
        mean=(0.5, 0.4, 0.3),
        std=0.25,
        out=tmp_path / "python",
        epochs=2,
        freeze=1,
        amp="off",
        cutmix=1.0,
    )
    found = json.loads((tmp_path / "file" / "run.json").read_text())
    assert found["input"]["in_graph"] == run.info["input"]["in_graph"]
    assert found["input"]["in_graph"]["mean"] == [0.5, 0.4, 0.3]
    weights = [(tmp_path / name / "best.safetensors").read_bytes() for name in ("file", "python")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("finetune",), "The recipe finetune needs a backbone."),
        (("cnn3", "--backbone", "resnet18"), "--backbone is for the recipe finetune"),
        (("cnn3", "--weights", "none"), "--weights is for a backbone; cnn3 begins with fresh weights."),
        (("cnn3", "--freeze", "1"), "--freeze must be left out: it is for the recipe finetune."),
        (("finetune", "--backbone", "renset18"), "torchvision has no classification network 'renset18'."),
        (("finetune", "--backbone", OWN, "--mean", "a,b"), "'a,b' is not a number, or one for each channel"),
        (("finetune", "--backbone", OWN, "--mean", "0.1,0.2"), "--mean has 2 values, but images have 3 channels."),
        (("finetune", "--backbone", OWN, "--std", "0"), "std greater than 0"),
        (("finetune", "--backbone", OWN, "--head-epochs", "2"), "--head-epochs must be 0 or more, and less than"),
    ],
)
def test_bad_input_is_one_message_and_leaves_nothing(
    colours: str, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """With exit code 2."""
    recipe, *given = arguments
    result = run_in_process("train", recipe, *options(colours, tmp_path / "run"), *given)
    assert_refused(result, message)
    assert not (tmp_path / "run").exists()


def test_backbones_are_listed_by_part_of_a_name() -> None:
    """torchvision's, and timm's with the names of their weights."""
    result = run_in_process("recipes", "--backbones", "resnet18")
    names = result.stdout.splitlines()
    assert {"resnet18", "timm:resnet18.a1_in1k"} <= set(names)
    assert all("resnet18" in name for name in names)
    assert_refused(run_in_process("recipes", "--backbones", "resnet*81"), "No backbone has 'resnet*81' in its name.")


def test_run_goes_on_with_more_epochs_and_the_warm_up_that_it_began_with(colours: str, tmp_path: Path) -> None:
    """Nobody stated the warm-up, which follows from the epochs of the first command."""
    arguments = ("--backbone", OWN, "--weights", "none", *options(colours, tmp_path / "run"))
    assert run_in_process("train", "finetune", *arguments).returncode == 0
    resumed = run_in_process("train", "finetune", *arguments, "--epochs", "4", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    found = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (found["epochs_run"], found["recipe"]["epochs"], found["recipe"]["warmup_epochs"]) == (4, 4, 0.6)
    again = run_in_process("train", "finetune", *arguments, "--epochs", "4", "--set", "warmup_epochs=1", "--resume")
    assert_refused(again, "made with other settings: warmup_epochs")


@pytest.mark.parametrize("place", ["set", "config"])
def test_a_mean_for_all_channels_replaces_that_of_the_weights(colours: str, tmp_path: Path, place: str) -> None:
    """Also where it is a field of a recipe: one without a backbone has its mean there."""
    config = tmp_path / "train.toml"
    config.write_text("mean = 0.3\nstd = 0.2\n")
    said = ("--set", "mean=0.3", "--set", "std=0.2") if place == "set" else ("--config", config)
    base = ("--data", colours, "--device", "cpu", "--epochs", "1", "--set", "amp=off", "-o", tmp_path / "run")
    result = run_in_process("train", "finetune", "--backbone", "resnet18", "--weights", "none", *base, *said)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [found["input"]["in_graph"][name] for name in ("mean", "std")] == [[0.3] * 3, [0.2] * 3]
