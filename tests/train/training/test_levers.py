"""What makes training faster or better: each lever does what it says, and is off where a recipe doesn't ask for it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from helpers.support import run_torchstone
from torchstone_train.networks.architectures import ModelShape, build_network
from torchstone_train.recipes.catalog import CNN3, RECIPES
from torchstone_train.recipes.recipe import OptimizerName, Recipe
from torchstone_train.run.run_dir import RunDirectory
from torchstone_train.training.ema import EMA
from torchstone_train.training.epochs import seed_epoch
from torchstone_train.training.optimization import make_optimizer
from torchstone_train.training.stopping import StopReason
from torchstone_train.training.task import Outcome

Fit = Callable[..., tuple[Outcome, RunDirectory]]

ALL_LEVERS: dict[str, Any] = {
    "optimizer": "sgd",
    "lr": 0.05,
    "nesterov": True,
    "weight_decay": 1e-3,
    "decay_biases": False,
    "ema": 0.9,
    "fused": True,
    "schedule": "one-cycle",
    "label_smoothing": 0.1,
    "augment": "flip-shift-erase",
    "flips": "alternating",
    "patience": 0,
    "batch_size": 16,
}


def test_a_recipe_without_levers_is_the_plain_loop_bit_for_bit(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adam on shuffled batches, written out here, ends with the weights of the training loop."""
    from torchstone_train.training import loop

    started: list[Any] = []
    original = loop.TrainingLoop.fit

    def remember(training: Any) -> Outcome:  # noqa: ANN401
        task = training._task
        weights = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
        started.append((task, weights))
        return original(training)

    monkeypatch.setattr(loop.TrainingLoop, "fit", remember)
    _, run = fit(epochs=1, batch_size=32)
    task, weights = started[0]
    model = task.model
    model.load_state_dict(weights)
    optimizer = torch.optim.Adam(model.parameters(), lr=CNN3.lr)
    order = torch.randperm(len(task.train), generator=seed_epoch(0, 1))
    model.train()
    for images, labels in task.train.walk(order, 32):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    kept = run.read_weights()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.network.state_dict().items())


def test_seed_recipes_have_every_lever_off() -> None:
    """The recipes of the starting documents train as the documents say."""
    plain = Recipe(name="", summary="", architecture="")
    for name in ("sgd-cnn", "mlp", "cnn3", "mnist-cnn", "bn-cnn"):
        recipe = RECIPES[name]
        for lever in (
            "nesterov",
            "decay_biases",
            "ema",
            "fused",
            "augment",
            "flips",
            "schedule",
            "amp",
            "target_accuracy",
        ):
            assert getattr(recipe, lever) == getattr(plain, lever), (name, lever)


def test_average_is_the_weighted_mean_of_the_weights_seen() -> None:
    """With decay 0.5 and weights 10, 20 after a start at 0: 0.9 of the way, then half of the rest."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = EMA(network, 0.5)
    expected = 0.0
    for step, value in enumerate((10.0, 20.0), start=1):
        nn.init.constant_(network.weight, value)
        average.update()
        decay = min(0.5, step / (step + 9))
        expected = decay * expected + (1 - decay) * value

    with average.in_place():
        assert network.weight.item() == pytest.approx(expected)
    assert network.weight.item() == 20.0


def test_average_takes_batch_norm_statistics_too() -> None:
    """Averaged weights with the last batches' statistics would not fit together."""
    network = nn.BatchNorm1d(1)
    average = EMA(network, 0.5)
    network(torch.full((4, 1), 8.0))
    average.update()

    with average.in_place():
        assert network.running_mean is not None
        assert network.running_mean.item() == pytest.approx(0.9 * 0.8)
        assert network.num_batches_tracked is not None
        assert network.num_batches_tracked.item() == 1


def test_averaged_weights_are_validated_and_kept(fit: Fit) -> None:
    """They differ from those of the same training without an average, whose training losses are the same."""
    (with_average, kept), (without, plain) = fit(out="a", ema=0.9), fit(out="b")
    losses = [[record["train"]["loss"] for record in outcome.history] for outcome in (with_average, without)]
    validated = [[record["validation"]["loss"] for record in outcome.history] for outcome in (with_average, without)]

    assert losses[0] == losses[1]
    assert validated[0] != validated[1]
    assert not torch.equal(kept.read_weights()["0.weight"], plain.read_weights()["0.weight"])


def test_a_killed_training_with_all_levers_goes_on_to_the_same_bits(tiny_npz: Path, tmp_path: Path) -> None:
    """A training with every lever that is killed amid an epoch, and resumed, ends as one that ran through."""
    script = """
import os, sys
sys.modules["matplotlib"] = None  # pictures would take longer than the rest
from torchstone_train.training import ema
from torchstone_runtime.cli.main import main
update, steps = ema.EMA.update, []
def die(self):
    steps.append(1)
    if len(steps) == 20:  # of 8 an epoch: amid the third
        os._exit(9)
    update(self)
ema.EMA.update = die
main(sys.argv[1:])
"""
    valued = {name: value for name, value in ALL_LEVERS.items() if not isinstance(value, bool)}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in valued.items()]
    options += ["--nesterov", "--no-decay-biases", "--fused", "--epochs", "3", "--dataset", f"npz:{tiny_npz}"]
    options = ["train", "bn-cnn", *options, "--out"]
    command = [sys.executable, "-c", script, *options, str(tmp_path / "parts")]
    died = subprocess.run(command, capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    for out, more in (("whole", []), ("parts", ["--resume"])):
        done = run_torchstone(*options, tmp_path / out, *more, pictures=False)
        assert done.returncode == 0, done.stderr
    whole, parts = ((tmp_path / name / "best.safetensors").read_bytes() for name in ("whole", "parts"))

    assert whole == parts


def test_training_with_all_levers_learns(fit: Fit) -> None:
    """Together they don't stand in each other's way."""
    outcome, _ = fit(**ALL_LEVERS, epochs=12)

    assert outcome.best is not None
    assert outcome.best["accuracy"] > 0.5


def test_training_stops_at_the_target(fit: Fit) -> None:
    """The first epoch at the target is the last, and its weights are those that are kept."""
    outcome, run = fit(epochs=60, target_accuracy=0.6)
    accuracies = [record["validation"]["accuracy"] for record in outcome.history]

    assert outcome.stop_reason is StopReason.TARGET_REACHED
    assert run.read_info()["stop_reason"] == "target_reached"
    assert accuracies[-1] >= 0.6 > max(accuracies[:-1], default=0)
    assert outcome.best_epoch == len(accuracies)


def test_a_reached_target_is_not_trained_past_on_resuming(tiny_npz: Path, tmp_path: Path) -> None:
    """Resuming adds no epoch; with a higher target it goes on."""
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--out", tmp_path / "run", "--epochs", "4")
    assert run_torchstone(*arguments, "--target-accuracy", "0.01", pictures=False).returncode == 0
    counts = []
    for target in ("0.01", "1"):
        more = run_torchstone(*arguments, "--resume", "--target-accuracy", target, pictures=False)
        assert more.returncode == 0, more.stderr
        counts.append(json.loads((tmp_path / "run" / "run.json").read_text())["epochs_run"])

    assert counts == [1, 4]


def test_a_target_that_is_not_reached_is_told_from_one_that_is(fit: Fit) -> None:
    """The stop reason is then that of an ordinary training."""
    assert fit(epochs=1, target_accuracy=1.0)[0].stop_reason is StopReason.MAX_EPOCHS


def test_weight_decay_can_leave_out_biases_and_batch_norm() -> None:
    """Vectors get no decay, weights do, and no parameter is forgotten."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    recipe = Recipe(name="", summary="", architecture="", optimizer="sgd", weight_decay=0.1, decay_biases=False)
    groups = make_optimizer(recipe, model).param_groups
    decays = {parameter: group["weight_decay"] for group in groups for parameter in group["params"]}

    assert [decays[parameter] for parameter in model.parameters()] == [0.1, 0, 0, 0, 0.1, 0]


def test_nesterov_momentum_is_applied() -> None:
    """After one step from rest with gradient 1: rate times (1 + momentum)."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    recipe = Recipe(name="", summary="", architecture="", optimizer="sgd", lr=0.1, momentum=0.9, nesterov=True)
    optimizer = make_optimizer(recipe, model)
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()

    assert model.weight.item() == pytest.approx(-0.19)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_a_fused_optimiser_takes_the_same_step(optimizer: OptimizerName) -> None:
    """It is PyTorch's one kernel, and ends where separate updates end but for the last bits."""
    ends = []
    for fused in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(8, 4)
        recipe = Recipe(name="", summary="", architecture="", optimizer=optimizer, weight_decay=0.1, fused=fused)
        stepped = make_optimizer(recipe, model)
        assert bool(stepped.param_groups[0]["fused"]) is fused
        for _ in range(3):
            stepped.zero_grad()
            model(torch.ones(2, 8)).square().sum().backward()
            stepped.step()
        ends.append(model.weight.detach())

    assert torch.allclose(ends[0], ends[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("architecture", ["sprint", "sprint-mnist", "stone-s", "stone-m", "stone-l"])
@pytest.mark.parametrize("shape", [ModelShape(1, 28, 28, 10), ModelShape(3, 33, 21, 4), ModelShape(1, 5, 5, 2)])
def test_a_stone_takes_images_of_any_size(architecture: str, shape: ModelShape) -> None:
    """The mean over each map leaves one row of logits an image."""
    network = build_network(architecture, shape)

    assert network(torch.rand(2, shape.channels, shape.height, shape.width)).shape == (2, shape.num_classes)


@pytest.mark.parametrize("architecture", ["sprint", "sprint-mnist", "stone-s", "stone-m", "stone-l"])
def test_channels_of_a_stone_fill_onnx_runtimes_blocks(architecture: str) -> None:
    """Every convolution has a multiple of 16 filters and no bias of its own."""
    network = build_network(architecture, ModelShape(1, 28, 28, 10))
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]

    assert all(convolution.out_channels % 16 == 0 for convolution in convolutions)
    assert all(convolution.bias is None for convolution in convolutions)
