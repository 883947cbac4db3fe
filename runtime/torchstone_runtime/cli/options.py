"""Options that several commands share: the same name, meaning and help everywhere."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.cli.completion import BundlePath, DatasetName, ProviderName, VariantName
from torchstone_runtime.data.split_choice import SplitChoice
from torchstone_runtime.inference.load_options import BundleCheck, LoadOptions, Mode

_Command = TypeVar("_Command", bound=Callable[..., Any])

FILE: Final = click.Path(path_type=Path, dir_okay=False)
DATASETS: Final = "digits, fashion-mnist, mnist, folder:PATH, shards:PATTERN or npz:FILE"
DATA_HELP: Final = f"Labelled images: {DATASETS}."


BUNDLE_PATH = BundlePath(path_type=Path)
DATA_DIR_OPTION = option(
    "--data-dir",
    group="Data",
    type=click.Path(path_type=Path),
    help="Folder of downloaded datasets  [default: TORCHSTONE_DATA, or ./data]",
)
SPLIT_OPTION = option(
    "--split",
    group="Data",
    type=click.Choice(get_args(SplitChoice)),
    default="auto",
    show_default=True,
    help="Part of the data. auto: the test part; if there is none, all images, or the fifth held out in training.",
)
CLASS_MAP_OPTION = option(
    "--class-map",
    group="Data",
    type=FILE,
    help="JSON, TOML or CSV file that maps the data's class names to the model's; null or empty drops a class.",
)
BITS_OPTION = option(
    "--bits",
    group="Data",
    type=click.IntRange(8, 16),
    help="Bits used by the values of 16-bit pictures: 12 if white is 4095  [default: the model's, or 16]",
)
PROVIDER_HELP: Final = "auto, cpu, cuda, tensorrt or openvino"


def provider_option(*, group: str = "Model", default: str = "auto") -> Callable[[_Command], _Command]:
    """Return the decorator that gives a command `--provider`."""
    return option(
        "--provider",
        group=group,
        type=ProviderName(),
        default=default,
        show_default=True,
        help=f"{PROVIDER_HELP}. A provider requested by name runs every node, or the command fails.",
    )


PROVIDER_OPTION = provider_option()
TF32_OPTION = option(
    "--tf32",
    group="Model",
    is_flag=True,
    help="Allow a GPU to compute in TF32: faster, with 10 bits of mantissa instead of 23.",
)
CPU_FALLBACK_OPTION = option(
    "--cpu-fallback",
    group="Model",
    is_flag=True,
    help="Let the CPU run the nodes that the requested provider cannot run.",
)
VARIANT_HELP: Final = "Model of the bundle, such as fp32 or int8"
VARIANT_OPTION = option("--variant", group="Model", type=VariantName(), help=f"{VARIANT_HELP}  [default: the bundle's]")
THREADS_OPTION = option(
    "--threads",
    group="Model",
    type=click.IntRange(min=1),
    help="Number of concurrent calls  [default: processors available to this process]",
)
MODE_OPTION = option(
    "--mode",
    group="Model",
    type=click.Choice(get_args(Mode)),
    default="auto",
    show_default=True,
    help="Tuning for the CPU: latency = one picture on all threads; throughput = many pictures; auto = measure.",
)
PUBLIC_KEY_OPTION = option(
    "--public-key",
    group="Model",
    type=click.Path(path_type=Path),
    help="Require a signature by this key (PEM) over the whole bundle; needs torchstone[sign].",
)
CHECK_OPTION = option(
    "--check",
    group="Model",
    type=click.Choice(get_args(BundleCheck)),
    default="full",
    show_default=True,
    help="Checks when loading the bundle: full = SHA-256 and golden samples; hashes = SHA-256; none = format and "
    "sizes only.",
)
SEED_TYPE: Final = click.IntRange(0, 2**32 - 1)
SEED_HELP: Final = "Seed of everything random"
INVERT_OPTION = option(
    "--invert",
    group="Data",
    is_flag=True,
    help="Invert each picture before it is classified, such as a photo on white for a model trained on black.",
)
TOP_HELP: Final = "Number of most probable classes to give for each picture, with their probabilities."
REPORT_OPTION = option("--report", group="Output", type=FILE, help="Write a self-contained HTML page.")
CSV_OPTION = option("--csv", "csv_file", group="Output", type=FILE, help="Write the rows of the result as CSV.")
OVERWRITE_OPTION = option(
    "--overwrite", group="Output", is_flag=True, help="Replace what an earlier run of this command wrote to --out."
)
WEIGHTS_HELP: Final = "Weights of the network: a file of tensors (.safetensors, .pt or .pth)"
NAME_HELP: Final = "Name of the model"
FAST_HELP: Final = "Run of a cascade's fast model, which answers alone when it is confident."
MAX_BATCH_HELP: Final = "Largest number of images that the server computes together"


def _json_option(metavar: str) -> Callable[[_Command], _Command]:
    return option(
        "--json",
        "json_file",
        group="Output",
        is_flag=False,
        flag_value="-",
        metavar=metavar,
        type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
        help="Print JSON instead of text; with FILE, write it there as well as printing the text.",
    )


json_option = _json_option("[FILE]")
"""Gives a command `--json [FILE]`, and its value as the argument `json_file`: see `output.print_result`."""
json_option_beside_paths = _json_option("[=FILE]")
"""The same where any number of paths are arguments: what follows is one of them, so FILE needs the equals sign."""


def data_option(*, required: bool = False) -> Callable[[_Command], _Command]:
    """Return the decorator that gives a command `--data`, and its value as the argument `dataset`."""
    return option(
        *("--data", "--dataset", "dataset"),
        group="Data",
        aliases=("--dataset",),
        required=required,
        type=DatasetName(),
        metavar="DATASET",
        help=DATA_HELP,
    )


def measured_data_options(command: _Command) -> _Command:
    """Give a command the options of the data that a model is measured on, but for `--data` itself."""
    for add in (BITS_OPTION, CLASS_MAP_OPTION, SPLIT_OPTION, DATA_DIR_OPTION):
        command = add(command)
    return command


def predictions_option(*, group: str) -> Callable[[_Command], _Command]:
    """Return the decorator that gives a command `--predictions`, a file that one command writes and another reads."""
    return option(
        "--predictions",
        group=group,
        type=FILE,
        help="CSV file with each image's id, classes, margin and probabilities: written by evaluate and train --folds, "
        "read by data.",
    )


def out_option(default: str | None = None, **attributes: Any) -> Callable[[_Command], _Command]:  # noqa: ANN401 - click's
    """Return the decorator that gives a command `-o/--out`.

    Args:
        default: place that is written to where the option is not given, in words for people; None where click says it.
        attributes: attributes as of `click.option`.
    """
    ending = "" if default is None else f"  [default: {default}]"
    given = {"type": click.Path(path_type=Path), **attributes}
    return option(*("-o", "--out"), group="Output", help=f"Directory to write.{ending}", **given)


_LOAD_OPTIONS: Final = (
    VARIANT_OPTION,
    PROVIDER_OPTION,
    TF32_OPTION,
    CPU_FALLBACK_OPTION,
    THREADS_OPTION,
    MODE_OPTION,
    PUBLIC_KEY_OPTION,
    CHECK_OPTION,
)


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of loading a model, and their values as its argument `loading`, a `LoadOptions`."""

    @functools.wraps(command)
    def with_loading(*arguments: Any, check: BundleCheck, **options: Any) -> Any:  # noqa: ANN401 - a command's own
        names = ("variant", "provider", "tf32", "cpu_fallback", "threads", "mode", "public_key")
        values = {name: options.pop(name) for name in names}
        loading = LoadOptions(**values, replay_golden=check == "full", check_hashes=check != "none")
        return command(*arguments, loading=loading, **options)

    decorated: Callable[..., Any] = with_loading
    for add in reversed(_LOAD_OPTIONS):
        decorated = add(decorated)
    return decorated
