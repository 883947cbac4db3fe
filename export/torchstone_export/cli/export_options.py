"""The options of `export` for lossy variants, cascades, and modules of other origin."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from torchstone_export.lossy.names import LOSSY_VARIANTS
from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.completion import DatasetName
from torchstone_runtime.cli.options import FAST_HELP, WEIGHTS_HELP, provider_option

_Command = TypeVar("_Command", bound=Callable[..., Any])

LOSSY_NAMES: Final = (
    *LOSSY_VARIANTS,
    *("max_accuracy_drop", "min_speedup", "require_variants", "default_variant", "provider"),
    *("int8_minutes", "calibration_data", "certify_data"),
)
CASCADE_NAMES: Final = ("fast", "threshold", "mirror")
MODULE_NAMES: Final = ("module", "arguments", "weights", "weights_key")

_LOSSY: Final = (
    option(
        "--int8",
        group="Variants",
        is_flag=True,
        help="Add an 8-bit variant, if it is accurate enough and faster on this machine.",
    ),
    option(
        "--fp16",
        group="Variants",
        is_flag=True,
        help="Add a 16-bit variant (for GPUs), if it is accurate enough and faster on this machine.",
    ),
    option(
        "--bf16",
        group="Variants",
        is_flag=True,
        help="Add a variant that OpenVINO computes in bfloat16 (torchstone[openvino]), if it is accurate enough and "
        "faster on this machine.",
    ),
    option(
        "--max-accuracy-drop",
        group="Variants",
        default=0.003,
        show_default=True,
        type=click.FloatRange(min=0, max=1, min_open=True),
        help="Largest accepted drop of the test accuracy against fp32; the 95% interval must exclude a larger one.",
    ),
    option(
        "--min-speedup",
        group="Variants",
        default=1.1,
        show_default=True,
        type=click.FloatRange(min=0),
        help="Smallest accepted speed ratio to fp32; its 95% interval must lie above.",
    ),
    option(
        "--require-variants",
        group="Variants",
        is_flag=True,
        help="Exit with 1, and write nothing, if a requested variant is not accepted.",
    ),
    option(
        "--default-variant",
        group="Variants",
        default="fp32",
        show_default=True,
        type=click.Choice(["fp32", *LOSSY_VARIANTS]),
        help="Variant that runs if none is named, provided that it is accepted.",
    ),
    provider_option(group="Variants", default="cpu"),
    option(
        "--int8-minutes",
        group="Variants",
        default=10.0,
        show_default=True,
        type=click.FloatRange(min=0, min_open=True),
        help="Minutes after which the search for an int8 file tries nothing new.",
    ),
    option(
        "--calibration-data",
        group="Variants",
        type=DatasetName(),
        metavar="DATASET",
        help="Images to calibrate int8 on  [default: the training split]",
    ),
    option(
        "--certify-data",
        group="Variants",
        type=DatasetName(),
        metavar="DATASET",
        help="Labelled images that the model has not seen, to judge the accuracy of a variant  [default: "
        "the test split]",
    ),
)
_CASCADE: Final = (
    option(
        "--fast",
        group="Advanced",
        type=click.Path(path_type=Path),
        help=FAST_HELP,
    ),
    option(
        "--threshold",
        group="Advanced",
        type=click.FloatRange(0, 1),
        help="With --fast: confidence from which the fast model answers alone  [default: chosen on the validation "
        "split]",
    ),
    option(
        "--mirror",
        group="Advanced",
        is_flag=True,
        help="With --fast: RUN answers with the mean over the picture and its mirror image.",
    ),
)
_MODULE: Final = (
    option(
        "--module",
        group="Model",
        metavar="PACKAGE:FACTORY",
        help="Instead of RUN: function that returns your own torch.nn.Module.",
    ),
    option(
        *("--arg", "arguments"),
        group="Model",
        metavar="KEY=VALUE",
        multiple=True,
        help="Argument of the factory; may be repeated.",
    ),
    option(
        "--weights",
        group="Model",
        type=click.Path(path_type=Path),
        help=WEIGHTS_HELP,
    ),
    option(
        "--weights-key", group="Model", metavar="KEY", help="Set of weights in --weights to use, if there are several."
    ),
)


def lossy_options(command: _Command) -> _Command:
    """Give a command the options of lossy variants: `LOSSY_NAMES`."""
    return _with(command, _LOSSY)


def cascade_options(command: _Command) -> _Command:
    """Give a command the options of a cascade: `CASCADE_NAMES`."""
    return _with(command, _CASCADE)


def module_options(command: _Command) -> _Command:
    """Give a command the options of a module of other origin: `MODULE_NAMES`."""
    return _with(command, _MODULE)


def _with(command: _Command, options: Sequence[Callable[[Any], Any]]) -> _Command:
    for add in reversed(options):
        command = add(command)
    return command
