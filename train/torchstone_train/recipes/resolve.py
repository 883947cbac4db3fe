"""From what a person names to a recipe that is ready: whose it is, with fields replaced, on a backbone."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_train.recipes.backbone_name import architecture_of
from torchstone_train.recipes.catalog import RECIPES
from torchstone_train.recipes.own_code import is_reference, load_object
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.transforms import settle_augment

OVERRIDABLE: Final = frozenset(field.name for field in fields(Recipe)) - {
    *("name", "summary", "architecture", "teacher", "method", "head"),
}
_STAGES: Final = frozenset({"head_epochs", "warmup_epochs"})
"""What a recipe's first epochs are for, shortened where it has few (`resolve_recipe`)."""
RECIPE_GROUP: Final = "torchstone.recipes"
"""Entry points of other packages: a name, and the `Recipe` or the function of a `ModelShape` that it stands for."""


def get_recipe(name: str) -> Recipe:
    """Return a recipe: one of `RECIPES`, of an installed package, or of the owner's own code.

    Args:
        name: name of the recipe; or `package.module:NAME`, a `Recipe`, or a function that builds a network of a
            `ModelShape` and is trained with the defaults of `Recipe`.

    Raises:
        UsageError: there is none; the message suggests the nearest.
        DataError: importing the owner's code failed.
    """
    if name in RECIPES:
        return RECIPES[name]
    if is_reference(name):
        return _own_recipe(name)
    installed = {entry.name: entry for entry in importlib.metadata.entry_points(group=RECIPE_GROUP)}
    if name in installed:
        return replace(_own_recipe(installed[name].value), name=name)
    raise UsageError(f"There is no recipe '{name}'.", suggestion(name, (*RECIPES, *installed)))


def resolve_recipe(recipe: str | Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return a recipe, by name or as it is, with some of its fields replaced.

    With fewer epochs than its first ones need, a recipe gets as much of those as fits, unless they are given too.

    Raises:
        UsageError: no such recipe or field, with the nearest one, or a value that a field can't have.
        DataError: importing the owner's code failed.
    """
    found = get_recipe(recipe) if isinstance(recipe, str) else recipe
    for name in overrides:
        if name not in OVERRIDABLE:
            raise UsageError(f"A recipe has no field '{name}'.", suggestion(name, OVERRIDABLE))
    return found.with_overrides(_fitting_stages(found, settle_augment(overrides)))


def unstated_stages(overrides: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields on a recipe's first epochs that nobody states, so that the number of epochs decides."""
    return _STAGES - {name for name, value in overrides.items() if value is not None}


_WARMUP_SHARE: Final = 0.3
"""Largest share of a short training that a recipe's warm-up takes."""


def _fitting_stages(recipe: Recipe, overrides: Mapping[str, Any]) -> dict[str, Any]:
    epochs = overrides.get("epochs")
    if not isinstance(epochs, int) or epochs < 1:
        return dict(overrides)
    head = overrides.get("head_epochs") or min(recipe.head_epochs, epochs - 1)
    warmup = min(recipe.warmup_epochs, max(0.0, _WARMUP_SHARE * (epochs - head)))
    fitting = {"head_epochs": head, "warmup_epochs": warmup}
    return fitting | {name: value for name, value in overrides.items() if value is not None}


def with_backbone(recipe: Recipe, backbone: str | None, head: str | None = None) -> Recipe:
    """Return a recipe for a backbone.

    Args:
        recipe: recipe, such as `finetune`.
        backbone: name, see `architecture_of`; the recipe's own if None.
        head: dotted name of the backbone's last layer; found where it is not given.

    Raises:
        UsageError: the text is not a name, or the recipe has a network of its own.
    """
    if backbone is None and head is None:
        return recipe
    if recipe.method == "scratch":
        able = " or ".join(name for name, item in RECIPES.items() if item.method != "scratch")
        raise UsageError(
            f"--backbone is for the recipe {able}; {recipe.name} has a network of its own.",
            "Such as: torchstone train finetune --backbone resnet18",
        )
    architecture = recipe.architecture if backbone is None else architecture_of(backbone)
    kept = recipe.head if backbone is None else ""
    return replace(recipe, architecture=architecture, head=kept if head is None else head)


def _own_recipe(reference: str) -> Recipe:
    found = load_object(reference, "the recipe")
    if isinstance(found, Recipe):
        return found
    if not callable(found):
        raise UsageError(
            f"{reference} is neither a Recipe nor a function that builds a network.",
            "Give a torchstone_train.recipes.recipe.Recipe, or a function of a ModelShape.",
        )
    name = reference.partition(":")[2].replace(".", "-").replace("_", "-").lower()
    return Recipe(name=name, summary=f"the network of {reference}", architecture=reference)
