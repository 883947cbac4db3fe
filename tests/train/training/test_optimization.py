"""Learning-rate schedules, and the steps that follow them."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from helpers.support import run_torchstone
from torchstone_train.compute.precision import Precision, choose_precision
from torchstone_train.recipes.recipe import Recipe, ScheduleName
from torchstone_train.training.optimization import Optimization
from torchstone_train.training.schedule import schedule_factor

SCHEDULES: list[ScheduleName] = ["constant", "cosine", "one-cycle"]


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 0.9, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1.0, 0.0),
        ("one-cycle", 0.0, 0.04),
        ("one-cycle", 0.25, 1.0),
        ("one-cycle", 0.625, 0.5),
        ("one-cycle", 1.0, 0.0),
    ],
)
def test_the_factor_at_a_point(schedule: str, progress: float, expected: float) -> None:
    """Known points of each schedule."""
    assert schedule_factor(schedule, progress) == pytest.approx(expected, abs=1e-12)


@given(schedule=st.sampled_from(SCHEDULES), progress=st.floats(0, 1))
def test_the_factor_lies_between_0_and_1(schedule: str, progress: float) -> None:
    """The recipe's rate is the largest of the training."""
    assert 0 <= schedule_factor(schedule, progress) <= 1


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_going_on_from_a_state_gives_the_same_weights(schedule: ScheduleName) -> None:
    """Four steps in one go, and two, a saved state and two more, end with the same bits."""
    recipe = Recipe(name="x", summary="", architecture="mlp", schedule=schedule, optimizer="sgd")
    images, labels = torch.rand(8, 4), torch.arange(8) % 3
    precision = choose_precision("off", torch.device("cpu"))

    def fresh() -> tuple[nn.Module, Optimization]:
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        return model, Optimization(recipe, model, precision, 4)

    whole_model, whole = fresh()
    for _ in range(4):
        whole.step(images, labels)
    first_model, first = fresh()
    for _ in range(2):
        first.step(images, labels)
    second_model, second = fresh()
    second_model.load_state_dict(first_model.state_dict())
    second.load_state_dict(first.state_dict())
    for _ in range(2):
        second.step(images, labels)

    assert torch.equal(whole_model.state_dict()["weight"], second_model.state_dict()["weight"])


def test_a_state_without_loss_scaling_goes_on_with_it() -> None:
    """As where a run that began on the CPU goes on in fp16 on a GPU: the scale is that of a start."""
    recipe, model = Recipe(name="x", summary="", architecture="mlp"), nn.Linear(4, 3)
    saved = Optimization(recipe, model, choose_precision("off", torch.device("cpu")), 4).state_dict()
    resumed = Optimization(recipe, model, Precision("cpu", torch.float16, ""), 4)
    resumed.load_state_dict(saved)
    assert resumed.state_dict()["scaler"]["scale"] == torch.amp.GradScaler("cpu").get_scale()


def test_the_rate_of_each_epoch_is_recorded(tmp_path: Path) -> None:
    """With the cosine schedule it falls from epoch to epoch."""
    options = ("--epochs", "3", "--schedule", "cosine", "--augment", "shift", "--out", tmp_path / "run")
    result = run_torchstone("train", "mlp", "--dataset", "digits", *options, pictures=False)
    history = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    rates = [record["learning_rate"] for record in history]

    assert result.returncode == 0, result.stderr
    assert 1e-3 > rates[0] > rates[1] > rates[2] >= 0
