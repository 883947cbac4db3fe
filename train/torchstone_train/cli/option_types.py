"""Types of options' values: a recipe and its fields, a size of pictures, numbers by channel, an amount of memory."""

import re
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from torchstone_runtime.cli.completion import Text
from torchstone_train.recipes.catalog import RECIPES
from torchstone_train.recipes.fields import RECIPE_FIELDS


class RecipeName(Text):
    """The name of a recipe, as typed; `get_recipe` reads it."""

    name = "recipe"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the recipes, each with its summary."""
        del ctx, param
        return [
            CompletionItem(name, help=recipe.summary) for name, recipe in RECIPES.items() if name.startswith(incomplete)
        ]


class FieldAssignment(Text):
    """A field of a recipe and its value, as typed: `optimizer=adamw`; `RecipeField.parse` reads the value."""

    name = "field"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the fields, each with its summary; behind the `=` the values that it can have, if these are words."""
        del ctx, param
        name, equals, _ = incomplete.partition("=")
        if not equals:
            items = [CompletionItem(f"{field.name}=", help=field.summary) for field in RECIPE_FIELDS.values()]
        else:
            items = [CompletionItem(f"{name}={word}") for word in _words_of(name)]
        return [item for item in items if item.value.startswith(incomplete)]


def _words_of(name: str) -> tuple[str, ...]:
    field = RECIPE_FIELDS.get(name)
    if field is None:
        return ()
    return ("true", "false") if field.kind is bool else field.choices


class ImageSize(click.ParamType[tuple[int, int]]):
    """Height and width of a picture: `64`, or `48x64`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:  # noqa: ANN401
        """Read the size, or fail with what to write."""
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) not in (1, 2) or not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' is not a size; write 64, or 48x64 for height x width.", param, ctx)
        return int(parts[0]), int(parts[-1])


class Numbers(click.ParamType[tuple[float, ...]]):
    """A number, or one for each channel with commas between."""

    name = "NUMBERS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:  # noqa: ANN401
        """Read the numbers, or fail with what to write."""
        parts = value if isinstance(value, tuple | list) else str(value).split(",")
        try:
            return tuple(float(part) for part in parts)
        except (TypeError, ValueError):
            self.fail(f"'{value}' is not a number, or one for each channel: 0.5, or 0.485,0.456,0.406.", param, ctx)


class ByteSize(click.ParamType[int]):
    """An amount of memory, such as `500MB` or `4GiB`, in bytes."""

    name = "SIZE"
    _UNITS: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
    _BINARY: Final = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Read the amount, or fail with what to write."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", str(value).strip().lower())
        factor = (self._UNITS | self._BINARY).get(match[2]) if match else None
        if match is None or factor is None:
            self.fail(f"'{value}' is not a size; write 500MB, 4GB or 4GiB, or a number of bytes.", param, ctx)
        return int(float(match[1]) * factor)
