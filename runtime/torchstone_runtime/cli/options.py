"""Options that several commands share."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.inference.load_options import LoadOptions


class _BundlePath(click.Path):
    """A bundle's path or the name of a built-in one: only the text as it was typed tells `./fashion` from `fashion`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        return super().convert(locate_bundle(value) if isinstance(value, str) else value, param, ctx)


BUNDLE_PATH = _BundlePath(path_type=Path)
PROVIDER_OPTION = click.option(
    "--provider",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, tensorrt or openvino. One asked for by name runs every node, or the command fails.",
)
TF32_OPTION = click.option(
    "--tf32", is_flag=True, help="Let a GPU compute in TF32: faster, with 10 bits of mantissa in place of 23."
)
VARIANT_OPTION = click.option("--variant", help="Which model of the bundle [its default one].")
CLASS_MAP_OPTION = click.option(
    "--class-map",
    type=click.Path(path_type=Path, dir_okay=False),
    help="JSON, TOML or CSV: what the model calls the data's classes; null or empty leaves one out.",
)
BITS_OPTION = click.option(
    "--bits",
    type=click.IntRange(8, 16),
    help="How many bits the values of 16-bit pictures use: 12 where white is 4095 [the model's, or 16].",
)
THREADS_OPTION = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Calls that run at once [the processors this process may use].",
)
PUBLIC_KEY_OPTION = click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    help="Require a signature of this key (PEM) over the whole bundle; needs torchstone[sign].",
)
CHECK_OPTION = click.option(
    "--check",
    type=click.Choice(["full", "hashes", "none"]),
    default="full",
    show_default=True,
    help="Of the bundle when it is loaded. full: SHA-256 and golden samples; none: only format and sizes.",
)


_LOAD_OPTIONS: Final = (
    VARIANT_OPTION,
    PROVIDER_OPTION,
    TF32_OPTION,
    THREADS_OPTION,
    PUBLIC_KEY_OPTION,
    CHECK_OPTION,
)


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of loading a model, and their values as its argument `loading`, a `LoadOptions`."""

    @functools.wraps(command)
    def with_loading(*arguments: Any, check: str, **options: Any) -> Any:  # noqa: ANN401 - a command's own
        values = {name: options.pop(name) for name in ("variant", "provider", "tf32", "threads", "public_key")}
        loading = LoadOptions(**values, replay_golden=check == "full", check_hashes=check != "none")
        return command(*arguments, loading=loading, **options)

    decorated: Callable[..., Any] = with_loading
    for option in reversed(_LOAD_OPTIONS):
        decorated = option(decorated)
    return decorated
