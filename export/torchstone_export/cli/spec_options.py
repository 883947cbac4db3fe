"""The options that state what a model of another origin takes and gives; shared by `export --module` and `adopt`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click

from torchstone_export.foreign.model_spec import ChannelOrder, ModelSpec, OutputKind, PixelRange
from torchstone_export.foreign.read_spec import read_spec
from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.geometry_options import COLOR_HELP, MEAN_HELP, STD_HELP, geometry_options
from torchstone_runtime.cli.options import NAME_HELP
from torchstone_runtime.cli.output import tell

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    option("--spec", group="Model", type=click.Path(path_type=Path), help="TOML file with the fields below."),
    option(
        "--preprocess",
        group="Model",
        metavar="SOURCE",
        help="Take the fields from torchvision:WEIGHTS, timm:NAME, a Hugging Face preprocessor_config.json or its "
        "folder, or (adopt) onnx, the file's own metadata. Fields given explicitly override it.",
    ),
    option("--input", "spec_input", group="Model", metavar="CxHxW", help="Shape of one image, such as 3x224x224."),
    option(
        "--color",
        group="Model",
        type=click.Choice(get_args(ChannelOrder)),
        help=f"{COLOR_HELP}  [default: RGB, or L with 1 channel]",
    ),
    option("--mean", group="Model", metavar="N,...", help=MEAN_HELP),
    option("--std", group="Model", metavar="N,...", help=STD_HELP),
    option(
        "--pixel-range",
        group="Model",
        type=click.Choice(get_args(PixelRange)),
        help="Range of the pixels before mean and std  [default: 0-1]",
    ),
    *geometry_options(
        "Model", of_fit="  [default: none; needed if a folder has such pictures]", of_filter="  [default: bilinear]"
    ),
    option(
        "--classes",
        group="Model",
        metavar="A,B,...",
        help="Class names in the order of the outputs, or @FILE with one name per line  [default: the data's]",
    ),
    option(
        "--output",
        group="Model",
        type=click.Choice(get_args(OutputKind)),
        help="What the model returns  [default: logits]",
    ),
    option(
        "--positive-threshold",
        group="Model",
        type=float,
        metavar="P",
        help="Threshold of a single output: above it, the second class is chosen  [default: 0.5]",
    ),
    option("--output-name", group="Model", metavar="NAME", help="Name of the output to use, if there are several."),
    option("--name", group="Model", metavar="NAME", help=NAME_HELP),
)
_FIELDS: Final = (
    *("preprocess", "color", "mean", "std", "pixel_range", "resize_filter", "fit", "resize", "fill", "antialias"),
    "decode",
    *("classes", "output", "positive_threshold", "output_name", "name"),
)


def spec_options(command: _Command) -> _Command:
    """Add the options to a command."""
    for add in reversed(_OPTIONS):
        command = add(command)
    return command


def spec_from_options(options: dict[str, Any], model: Path | None = None) -> ModelSpec:
    """Take the options out of a command's keyword arguments; `model` and errors as for `read_spec`."""
    path = options.pop("spec")
    values = {name: options.pop(name) for name in _FIELDS} | {"input": options.pop("spec_input")}
    extra = {name: options.pop(name) for name in ("layout", "dtype") if name in options}
    return read_spec(path, values | extra, model=model, tell=tell)


def any_given(options: dict[str, Any]) -> bool:
    """Tell whether one of the options was given."""
    return any(options[name] is not None for name in (*_FIELDS, "spec", "spec_input"))
