"""The options that state what a model of another origin takes and gives; shared by `export --module` and `adopt`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click

from torchstone_export.foreign.model_spec import ChannelOrder, ModelSpec, OutputKind, PixelRange, read_spec
from torchstone_runtime.images.input_spec import ResampleFilter

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: Final = (
    click.option("--spec", type=click.Path(path_type=Path), help="A TOML file with the fields below."),
    click.option("--input", "spec_input", metavar="CxHxW", help="Shape of one image, such as 3x224x224."),
    click.option("--color", type=click.Choice(get_args(ChannelOrder)), help="Channels, as the model takes them."),
    click.option("--mean", metavar="N,...", help="Subtracted from the pixels, one number a channel."),
    click.option("--std", metavar="N,...", help="What the difference is divided by, one number a channel."),
    click.option("--pixel-range", type=click.Choice(get_args(PixelRange)), help="Pixels before mean and std [0-1]."),
    click.option("--resize-filter", type=click.Choice(get_args(ResampleFilter)), help="For other sizes [bilinear]."),
    click.option("--classes", metavar="A,B,...", help="In the order of the outputs; or @FILE, one name a line."),
    click.option("--output", type=click.Choice(get_args(OutputKind)), help="What the model gives [logits]."),
    click.option(
        "--positive-threshold", type=float, metavar="P", help="Of one output: above it, the second class [0.5]."
    ),
    click.option("--output-name", metavar="NAME", help="Which output, where there are several."),
    click.option("--name", metavar="NAME", help="What the model is called."),
)
_FIELDS: Final = (
    *("color", "mean", "std", "pixel_range", "resize_filter"),
    *("classes", "output", "positive_threshold", "output_name", "name"),
)


def spec_options(command: _Command) -> _Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def spec_from_options(options: dict[str, Any]) -> ModelSpec:
    """Take the options out of a command's keyword arguments; errors as for `read_spec`."""
    path = options.pop("spec")
    values = {name: options.pop(name) for name in _FIELDS} | {"input": options.pop("spec_input")}
    extra = {name: options.pop(name) for name in ("layout", "dtype") if name in options}
    return read_spec(path, values | extra)


def any_given(options: dict[str, Any]) -> bool:
    """Tell whether one of the options was given."""
    return any(options[name] is not None for name in (*_FIELDS, "spec", "spec_input"))
