"""What a training is to be, from a configuration file, an earlier run, and the command line, which wins."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.errors import DataError, UsageError, suggestion
from torchstone_train.recipes.fields import RECIPE_FIELDS, check_values
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.recipes.resolve import get_recipe

_KEYS: Final = {
    "data": "dataset",
    "dataset": "dataset",
    "data_dir": "data_dir",
    "out": "out",
    "device": "device",
    "seed": "seed",
    "image_size": "image_size",
    "color": "color",
    "bits": "bits",
    "fit": "fit",
    "resize": "resize",
    "fill": "fill",
    "resize_filter": "resize_filter",
    "antialias": "antialias",
    "decode": "decode",
    "stream": "stream",
    "cache": "cache",
    "cache_size": "cache_size",
    "cache_dir": "cache_dir",
    "workers": "workers",
    "min_class_size": "min_class_size",
    "folds": "folds",
    "deterministic": "deterministic",
    "figures": "figures",
    "teacher": "teachers",
    "log": "logs",
    "backbone": "backbone",
    "weights": "weights",
    "head": "head",
    "mean": "mean",
    "std": "std",
}
"""Keys of a configuration file, and the arguments of the command that they stand for."""
_RUN_FILE: Final = "run.json"


@dataclass(slots=True)
class Settings:
    """What is known of a training before the command line is looked at.

    Attributes:
        recipe: the recipe, if one was named.
        options: values by argument of the command.
        fields: values by field of the recipe.
    """

    recipe: Recipe | None = None
    options: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)


def read_config(path: Path, context: click.Context) -> Settings:
    """Read a TOML file: `recipe`, options of `train`, and fields of the recipe, these also in a table `[set]`.

    Args:
        path: path of the file, UTF-8 with or without a byte order mark.
        context: context of the command whose options convert the values.

    Raises:
        DataError: it can't be read, or is no TOML.
        UsageError: an unknown key, with the nearest known one, or a value of another type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.", "Give a TOML file.") from error
    except ValueError as error:  # no UTF-8, or no TOML
        raise DataError(f"{path} is not valid TOML: {error}.", 'Write such lines as recipe = "cnn3".') from error
    try:
        return _settings({key.replace("-", "_"): value for key, value in content.items()}, context)
    except UsageError as error:
        raise UsageError(f"{path}: {error.lines[0]}", *error.lines[1:]) from error
    except click.BadParameter as error:
        raise UsageError(f"{path}: {error.format_message()}") from error


def _settings(content: dict[str, Any], context: click.Context) -> Settings:
    found = Settings()
    name, table = content.pop("recipe", None), content.pop("set", {})
    if name is not None:
        if not isinstance(name, str):
            raise UsageError(f"recipe is {name!r}; expected a name.", 'Such as recipe = "cnn3".')
        found.recipe = get_recipe(name)
    if not isinstance(table, Mapping):
        raise UsageError("set is not a table.", "Write [set], and below it such lines as ema = 0.99.")
    by_channel = {key for key in ("mean", "std") if isinstance(content.get(key), list | str)}
    fields = {key: content.pop(key) for key in list(content) if key in RECIPE_FIELDS and key not in by_channel}
    found.fields = check_values({**fields, **table})
    for key, value in content.items():
        if key not in _KEYS:
            raise UsageError(f"There is no key '{key}'.", suggestion(key, ("recipe", "set", *_KEYS, *RECIPE_FIELDS)))
        found.options[_KEYS[key]] = _converted(_KEYS[key], key, value, context)
    return found


def _converted(argument: str, key: str, value: Any, context: click.Context) -> Any:  # noqa: ANN401 - as click converts it
    parameter = next(item for item in context.command.params if item.name == argument)
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    if isinstance(value, bool) != is_flag:
        raise UsageError(f"{key} is {value!r}; expected {'true or false' if is_flag else 'text or a number'}.")
    if parameter.multiple and not isinstance(value, list):
        value = [value]
    takes_several = parameter.multiple or argument in ("mean", "std")
    if isinstance(value, (list, Mapping)) and not takes_several:
        raise UsageError(f"{key} is {value!r}; expected one value.")
    return parameter.type_cast_value(context, value)


def read_run(path: Path) -> Settings:
    """Read what repeats a run: its recipe with all fields, its data and how pictures were read, and its seed.

    Args:
        path: directory of the run, or path of its `run.json`.

    Raises:
        DataError: there is none, or it is damaged.
    """
    file = path / _RUN_FILE if path.is_dir() else path
    if not file.is_file():
        from torchstone_runtime.bundle.builtin import builtin_names
        from torchstone_runtime.path_kinds.wanted import not_a_run

        raise DataError(*not_a_run(path, builtin_names()))
    try:
        info = json.loads(file.read_bytes())
        recipe = Recipe.from_json(info["recipe"])
        options = {"dataset": info["dataset"]["source"], "seed": int(info["seed"])}
        options["deterministic"] = bool(info.get("deterministic", True))
        if (least := info["dataset"].get("min_class_size")) is not None:
            options["min_class_size"] = least
        if options["dataset"].startswith(("folder:", "shards:")):
            spec = info["input"]
            options["image_size"] = (int(spec["height"]), int(spec["width"]))
            options |= {"color": spec["color"], "bits": spec.get("bits")}
            options |= {name: spec.get(name) for name in ("fit", "resize", "fill", "antialias", "decode")}
            options["resize_filter"] = spec.get("resample")
        options |= _weights_of(info) if "backbone" in info else _stated_levels(info, recipe)
        if fold := info["dataset"].get("fold"):
            options["lone_fold"] = (int(fold["number"]), int(fold["of"]))
        taught = [str(teacher["name"]) for teacher in info.get("teachers", ())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} is not valid: {error!r}.", "Give the run.json of a training.") from error
    return Settings(recipe, options | ({"taught": taught} if taught else {}))


def require_whole_run(fold: tuple[int, int] | None, folds: int | None) -> None:
    """Refuse to repeat one fold of a cross-validation as if it were a training on all images.

    Args:
        fold: number of the fold that a run is, and of how many; None if it is none.
        folds: number of folds that are asked for.
    """
    if fold is not None and folds is None:
        raise UsageError(
            f"That run is fold {fold[0]} of {fold[1]} of a cross-validation; one fold alone is not repeated.",
            f"Add --folds {fold[1]} to repeat all of them. To train on all images, name the recipe and --data.",
        )


def _stated_levels(info: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the mean and the standard deviation that were stated by channel, in the place of the recipe's."""
    found = {}
    for key, usual in (("mean", recipe.mean), ("std", recipe.std)):
        levels = tuple(map(float, info["input"]["in_graph"][key]))
        if set(levels) != {usual}:
            found[key] = levels if len(set(levels)) > 1 else levels[:1]
    return found


def _weights_of(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that name the weights of a run's backbone again; of a file, its name alone is known."""
    weights, normalisation = info["backbone"]["weights"], info["input"]["in_graph"]
    name, source = str(weights["name"]), str(info["backbone"]["architecture"]).partition(":")[0]
    found: dict[str, Any] = {key: tuple(map(float, normalisation[key])) for key in ("mean", "std")}
    if "sha256" in weights:
        found["weights_sha256"] = str(weights["sha256"])
    if name == "none" or (source == "torchvision" and "_Weights." in name):
        return found | {"weights": name}
    if name == info["backbone"]["architecture"]:
        return found
    return found | {"lost_weights": name}
