"""`torchstone recipes | download`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import DATA_DIR_OPTION, json_option
from torchstone_runtime.cli.output import print_result, require_writable, tell
from torchstone_runtime.components import install_line, require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable, showable_lines
from torchstone_train.recipes.backbone_name import TIMM
from torchstone_train.recipes.catalog import RECIPES
from torchstone_train.recipes.fields import RECIPE_FIELDS
from torchstone_train.recipes.measured import PublishedResult, load_measured

_CASCADE: Final = "a cascade: the first answers when it is confident; torchstone export RUN --fast FAST_RUN"


@command(examples=("torchstone recipes", "torchstone recipes --fields", "torchstone recipes --backbones resnet"))
@option("--fields", group="Output", is_flag=True, help="List the fields of a recipe that train --set can change.")
@option(
    "--backbones",
    group="Output",
    is_flag=False,
    flag_value="",
    default=None,
    metavar="[PATTERN]",
    help="List the networks that finetune takes: all, or those whose names contain PATTERN.",
)
@json_option
def recipes(fields: bool, backbones: str | None, json_file: Path | None) -> None:
    """List the recipes and cascades with their measured results, or with --fields what can be changed in a recipe.

    docs/reference/results.md has all results.
    """
    require_writable([json_file])
    if fields and backbones is not None:
        raise UsageError("--fields and --backbones list different things.", "Leave one out.")
    if backbones is not None:
        names = _backbones(backbones)
        print_result(json_file, lambda: {"backbones": names}, lambda: showable_lines(names))
    elif fields:
        print_result(json_file, _fields_document, _fields_text)
    else:
        measured = load_measured()
        print_result(json_file, lambda: _document(measured), lambda: _text(measured))


def _backbones(pattern: str) -> list[str]:
    require_component("train", "torch", "torchvision")
    from torchstone_train.networks.backbones.listing import backbone_names

    names = backbone_names(pattern)
    if find_spec(TIMM) is None:
        tell(f"timm's are listed if it is installed: {install_line('timm')}")
    if not names:
        raise UsageError(
            f"No backbone has '{showable(pattern)}' in its name.", "torchstone recipes --backbones lists all of them."
        )
    return names


def _text(measured: list[PublishedResult]) -> str:
    summaries = {item.recipe: _CASCADE for item in measured if item.recipe not in RECIPES}
    summaries = {name: recipe.summary for name, recipe in RECIPES.items()} | summaries
    width = max(map(len, summaries))
    lines = []
    for name, summary in summaries.items():
        lines.append(f"{name:<{width}}  {summary}")
        lines += [f"{'':<{width}}  {item}" for item in measured if item.recipe == name]
    return "\n".join(lines)


def _document(measured: list[PublishedResult]) -> dict[str, Any]:
    results = [
        {name: getattr(item, name) for name in ("recipe", "dataset", "mean", "deviation", "seeds")} for item in measured
    ]
    return {"recipes": [recipe.to_json() for recipe in RECIPES.values()], "measured": results}


def _fields_text() -> str:
    width = max(map(len, RECIPE_FIELDS))
    lines = [f"{'field':<{width}}  {'default':<10}  value"]
    for field in RECIPE_FIELDS.values():
        default = str(field.default).lower() if field.kind is bool else str(field.default)
        lines += [
            f"{field.name:<{width}}  {default:<10}  {field.expected}",
            f"{'':<{width}}  {'':<10}  {field.summary}",
        ]
    return "\n".join(lines)


def _fields_document() -> dict[str, Any]:
    return {
        "fields": [
            {
                "name": field.name,
                "type": field.kind.__name__,
                "choices": list(field.choices) or None,
                "default": field.default,
                "summary": field.summary,
            }
            for field in RECIPE_FIELDS.values()
        ]
    }


@command(examples=("torchstone download fashion-mnist --data-dir data",))
@click.argument("dataset")
@DATA_DIR_OPTION
@json_option
def download(dataset: str, data_dir: Path | None, json_file: Path | None) -> None:
    """Download DATASET (fashion-mnist or mnist) with torchvision, which checks its checksums."""
    require_writable([json_file])
    require_component("train", "torch", "torchvision")
    from torchstone_train.data.download import ensure_downloaded

    directory = data_dir or default_data_dir()
    fetched = ensure_downloaded(dataset, directory)
    lines = [f"wrote {path}" for path in fetched] or [f"{dataset} is in {directory} already."]
    document = {"dataset": dataset, "data_dir": str(directory), "written": [str(path) for path in fetched]}
    print_result(json_file, lambda: document, lambda: "\n".join(lines))
