"""The recipes by name. A new one is an entry here."""

from dataclasses import fields
from typing import Final

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_train.recipe import Recipe

CNN3: Final = Recipe(
    name="cnn3",
    summary="three 3x3 convolutions (32, 64, 128) with pooling, dense 256, dropout 0.5; Adam 0.001, batch 64",
    architecture="cnn3",
)

RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in (CNN3,)}

OVERRIDABLE: Final = frozenset(field.name for field in fields(Recipe)) - {"name", "summary", "architecture"}


def get_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        UsageError: there is none; the message suggests the nearest.
    """
    if name not in RECIPES:
        raise UsageError(f"There is no recipe '{name}'.", suggestion(name, RECIPES))
    return RECIPES[name]
