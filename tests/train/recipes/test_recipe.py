import math
from pathlib import Path
from typing import Any

import pytest

from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.errors import UsageError
from torchstone_train.recipes.catalog import CNN3, RECIPES
from torchstone_train.recipes.measured import load_measured
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.resolve import OVERRIDABLE, get_recipe, resolve_recipe

BAD: list[tuple[str, Any]] = [
    ("lr", 0.0),
    ("lr", -0.001),
    ("lr", math.nan),
    ("lr", math.inf),
    ("batch_size", 0),
    ("epochs", 0),
    ("patience", -1),
    ("min_delta", -0.1),
    ("min_delta", math.nan),
    ("weight_decay", -1.0),
    ("weight_decay", math.nan),
    ("label_smoothing", 1.0),
    ("val_fraction", 0.0),
    ("val_fraction", 1.0),
    ("val_fraction", math.nan),
    ("momentum", 1.0),
    ("ema", 1.0),
    ("target_accuracy", 1.5),
    ("target_accuracy", math.nan),
    ("flips", "both"),
    ("optimizer", "lion"),
]


def option_of(field: str) -> str:
    """Return the option that overrides a field."""
    return "--" + field.replace("_", "-")


@pytest.mark.parametrize(("field", "value"), [*BAD, ("mean", math.nan), ("std", 0.0)])
def test_bad_value_names_its_field(field: str, value: Any) -> None:  # noqa: ANN401
    """A value out of range is refused by the field's name, wherever it was given."""
    with pytest.raises(UsageError, match=f"^{field} must be"):
        CNN3.with_overrides({field: value})


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, v in BAD if not isinstance(v, str)][::2])
def test_command_line_refuses_bad_value(field: str, value: float, tmp_path: Path) -> None:
    """On the command line it is one message, exit code 2, and nothing is written."""
    out = tmp_path / "run"
    result = run_torchstone("train", "cnn3", "--dataset", "digits", "--out", out, f"{option_of(field)}={value}")
    assert_refused(result, f"{option_of(field)} must be", "torchstone recipes --fields")
    assert not out.exists()


@pytest.mark.parametrize(("epochs", "head", "warmup"), [(1, 0, 0.3), (2, 0, 0.6), (10, 0, 1.0)])
def test_fewer_epochs_than_a_recipes_first_ones_shorten_those(epochs: int, head: int, warmup: float) -> None:
    """So that one epoch can be tried."""
    recipe = resolve_recipe("finetune", {"epochs": epochs})
    assert recipe.head_epochs == head
    assert recipe.warmup_epochs == pytest.approx(warmup)


def test_first_epochs_that_are_asked_for_and_do_not_fit_are_refused() -> None:
    """What was said is not changed."""
    with pytest.raises(UsageError, match="head_epochs must be"):
        resolve_recipe("finetune", {"epochs": 2, "head_epochs": 2})


def test_a_target_and_another_monitored_figure_contradict_each_other() -> None:
    """The epoch that reaches the target must be the one that is kept."""
    with pytest.raises(UsageError, match=r"^target_accuracy must be given without monitor"):
        CNN3.with_overrides({"target_accuracy": 0.9, "monitor": "loss"})


def test_override_of_none_keeps_the_recipes_value() -> None:
    """An option that is not given changes nothing."""
    assert CNN3.with_overrides({"lr": None, "epochs": None}) == CNN3


def test_override_replaces_one_field() -> None:
    """An option that is given changes its field alone."""
    changed = CNN3.with_overrides({"lr": 0.5})
    assert changed.lr == 0.5
    assert changed.with_overrides({"lr": CNN3.lr}) == CNN3


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda recipe: recipe.name)
def test_recipe_survives_json(recipe: Recipe) -> None:
    """What run.json records is the whole recipe."""
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_recipe_identity_cannot_be_overridden() -> None:
    """Name and architecture are the recipe; they are no options."""
    assert not OVERRIDABLE & {"name", "summary", "architecture"}


def test_cnn3_is_the_documented_configuration() -> None:
    """Adam 0.001, batch 64, up to 10 epochs, a fifth held out, Normalize(0.5, 0.5)."""
    assert (CNN3.optimizer, CNN3.lr, CNN3.batch_size, CNN3.epochs) == ("adam", 1e-3, 64, 10)
    assert (CNN3.val_fraction, CNN3.mean, CNN3.std) == (0.2, 0.5, 0.5)


def test_misspelt_recipe_suggests_the_near_one() -> None:
    """A typing error is answered with the name that was meant."""
    with pytest.raises(UsageError, match="Did you mean 'cnn3'"):
        get_recipe("cnn33")


def test_recipes_lists_every_recipe() -> None:
    """`torchstone recipes` prints each recipe, and each cascade measured; below it what was measured."""
    lines = run_torchstone("recipes").stdout.splitlines()
    names = [line.split()[0] for line in lines]
    assert [name for name in names if name != "measured:" and "+" not in name] == list(RECIPES)
    assert names.count("measured:") == len(load_measured())
