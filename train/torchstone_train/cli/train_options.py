"""The options of `torchstone train`: those that people use, and the former ones that `--set` has replaced."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.geometry_options import COLOR_HELP, MEAN_HELP, STD_HELP, geometry_options
from torchstone_runtime.cli.options import (
    BITS_OPTION,
    BUNDLE_PATH,
    OVERWRITE_OPTION,
    SEED_HELP,
    SEED_TYPE,
    WEIGHTS_HELP,
)
from torchstone_runtime.cli.output import warn
from torchstone_runtime.images.input_spec import ColorMode
from torchstone_train.cli.option_types import ByteSize, FieldAssignment, ImageSize, Numbers
from torchstone_train.recipes.fields import RECIPE_FIELDS
from torchstone_train.recipes.transforms import CacheName
from torchstone_train.report.experiment_logs import EXPERIMENT_LOGS

_Command = TypeVar("_Command", bound=Callable[..., Any])


_FORMER: Final = (
    *("min_delta", "optimizer", "weight_decay", "decay_biases", "momentum", "nesterov", "ema", "fused"),
    *("label_smoothing", "distill_weight", "distill_temperature", "schedule", "flips", "monitor"),
)
_OF_BACKBONES: Final = ("freeze", "head_epochs")
_METAVARS: Final = {"augment": "NAMES"}
_HELP: Final = {
    "augment": "Random changes of each training image: flip-shift, flip-shift-erase, …; for photographs a list such as "
    "random-resized-crop,flip,trivial-augment (docs/reference/recipes.md has all); none = none.",
}
_EVERYDAY: Final = (
    *("epochs", "batch_size", "lr", "augment", "amp", "compile"),
    *("target_accuracy", "patience", "val_fraction"),
)
_CLASSES: Final = ("class_weights", "sampler")


def _field_option(name: str, *, hidden: bool = False, group: str = "Training") -> Callable[[Any], Any]:
    field = RECIPE_FIELDS[name]
    spelling = f"--{name.replace('_', '-')}"
    if field.kind is bool:
        spelling = f"{spelling}/--no-{spelling[2:]}"
    return option(
        spelling,
        group=group,
        type=click.Choice(field.choices) if field.choices else field.kind,
        metavar=_METAVARS.get(name),
        default=None,
        hidden=hidden,
        help=f"{_HELP.get(name, field.summary).removesuffix('.')}  [default: the recipe's]",
    )


_OPTIONS: Final = (
    option(
        "--image-size",
        group="Data",
        type=ImageSize(),
        help="For folders: size of the model's input, 64 or HEIGHTxWIDTH  [default: the pictures' own, or 64]",
    ),
    option(
        "--color",
        group="Data",
        type=click.Choice(get_args(ColorMode)),
        help=f"{COLOR_HELP}  [default: L if all pictures are gray]",
    ),
    BITS_OPTION,
    option(
        "--mean",
        group="Data",
        type=Numbers(),
        help=f"{MEAN_HELP}  [default: the weights', or the recipe's]",
    ),
    option("--std", group="Data", type=Numbers(), help=f"{STD_HELP}  [default: the weights', or the recipe's]"),
    *geometry_options(
        "Data",
        of_fit="  [default: from a backbone's weights, otherwise stretch]",
        of_filter="  [default: the weights', otherwise bilinear]",
    ),
    option(
        "--stream",
        group="Data",
        is_flag=True,
        default=None,
        help="Read images from their files as needed, even if they fit in memory.",
    ),
    option(
        "--min-class-size",
        group="Data",
        type=click.IntRange(min=1),
        metavar="N",
        help="Leave out classes with fewer than N training images  [default: keep all classes]",
    ),
    option(
        "--backbone",
        group="Backbone",
        metavar="NAME",
        help="Network to fine-tune: one of torchvision's, timm:NAME, or package.module:factory; `torchstone recipes "
        "--backbones` lists them.",
    ),
    option(
        "--weights",
        group="Backbone",
        metavar="default|none|FILE",
        help=f"{WEIGHTS_HELP}  [default: default, the published ones; torchvision's also by name]",
    ),
    option(
        "--head",
        group="Backbone",
        metavar="NAME",
        help="Dotted name of the backbone's last layer, needed if it can't be found.",
    ),
    *(_field_option(name, group="Backbone") for name in _OF_BACKBONES),
    option(
        "--cache",
        group="Data",
        type=click.Choice(get_args(CacheName)),
        help="Where to keep decoded pictures: in memory as far as they fit, on disk for all runs, or nowhere  "
        "[default: memory]",
    ),
    option(
        "--cache-size",
        group="Data",
        type=ByteSize(),
        help="Largest size of the cache, such as 4GB  [default: half of the free memory; on disk 20GiB]",
    ),
    option(
        "--cache-dir",
        group="Advanced",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIRECTORY",
        help="Directory of --cache disk  [default: torchstone/pictures in the user's cache directory]",
    ),
    option(
        "--workers",
        group="Data",
        type=int,
        help="Threads per process that decode and augment pictures  [default: one per processor]",
    ),
    *(_field_option(name) for name in (*_EVERYDAY, *_CLASSES)),
    option("--seed", group="Training", type=SEED_TYPE, help=f"{SEED_HELP}  [default: 0]"),
    option(
        *("--teacher", "teachers"),
        group="Training",
        type=BUNDLE_PATH,
        multiple=True,
        help="Bundle whose answers are learnt in addition to the labels; may be repeated.",
    ),
    option(
        "--folds",
        group="Training",
        type=click.IntRange(min=2),
        metavar="N",
        help="Cross-validation: train N networks, each without one part of the training images, and measure it there.",
    ),
    option(
        "--device",
        group="Training",
        help="auto, cpu, cuda or mps; a requested GPU never falls back to the CPU  [default: auto]",
    ),
    option(
        *("--set", "assignments"),
        group="Training",
        type=FieldAssignment(),
        metavar="FIELD=VALUE",
        multiple=True,
        help="Change any field of the recipe, such as ema=0.99; may be repeated. `torchstone recipes --fields` lists "
        "them.",
    ),
    option(
        *("--config", "config_file"),
        group="Advanced",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="TOML file with the recipe, these options, and fields of the recipe; the command line wins.",
    ),
    option(
        *("--from", "repeated"),
        group="Advanced",
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Repeat a run, given as its directory or run.json: recipe with all fields, data, seed.",
    ),
    option(
        "--deterministic/--no-deterministic",
        group="Advanced",
        default=None,
        help="Same seed, same weights; --no-deterministic may be faster on a GPU  [default: deterministic]",
    ),
    option(
        "--resume", group="Output", is_flag=True, help="Continue the run at --out after it was killed or interrupted."
    ),
    OVERWRITE_OPTION,
    option(
        "--figures/--no-figures",
        group="Output",
        default=None,
        help="Draw figures/, write tensorboard/ and report.html; a search over many trainings can do without  "
        "[default: figures]",
    ),
    option(
        *("--log", "logs"),
        group="Output",
        type=click.Choice(EXPERIMENT_LOGS),
        multiple=True,
        help="Log the training to MLflow or Weights & Biases as well; needs torchstone[mlflow] or torchstone[wandb].",
    ),
    *(_field_option(name, hidden=True) for name in _FORMER),
)


def train_options(command: _Command) -> _Command:
    """Give a command the options."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


def take_fields(options: dict[str, Any]) -> dict[str, Any]:
    """Take the fields of the recipe that were given as options out of `options`; say what replaces former ones."""
    given = {name: options.pop(name) for name in (*_OF_BACKBONES, *_EVERYDAY, *_CLASSES, *_FORMER)}
    given = {name: value for name, value in given.items() if value is not None}
    former = [name for name in _FORMER if name in given]
    if former:
        spellings = ", ".join(f"--{name.replace('_', '-')}" for name in former)
        now = " ".join(f"--set {name}={str(given[name]).lower()}" for name in former)
        warn(f"Deprecated: {spellings}. Write {now}")
    return given
