"""The options that say how a picture comes to the size of a model's input; shared by `train`, `export` and `adopt`."""

from collections.abc import Callable
from typing import Any, Final, get_args

import click

from torchstone_runtime.cli.command import option
from torchstone_runtime.images.input_spec import MAX_LEVEL, MAX_SIDE, Decoding, Fit, ResampleFilter

COLOR_HELP: Final = "Channels of the model's input, in their order"
MEAN_HELP: Final = "Mean of the pixels: one number, or one for each channel"
STD_HELP: Final = "Standard deviation of the pixels: one number, or one for each channel"


def geometry_options(group: str, *, of_fit: str, of_filter: str) -> tuple[Callable[[Any], Any], ...]:
    """Return the options, None where one is not given.

    Args:
        group: heading of the help under which they stand.
        of_fit: end of the help of `--fit`: what holds without it.
        of_filter: end of the help of `--resize-filter`, likewise.
    """
    return (
        option(
            "--fit",
            group=group,
            type=click.Choice(get_args(Fit)),
            help=f"How pictures of another shape are fitted to the input: stretched, cropped or padded{of_fit}",
        ),
        option(
            "--resize",
            group=group,
            metavar="PIXELS",
            type=click.IntRange(1, MAX_SIDE),
            help="With --fit crop: pixels of the shorter side before the centre is cut out  [default: the input's "
            "longer side]",
        ),
        option(
            "--fill",
            group=group,
            metavar="LEVEL",
            type=click.IntRange(0, MAX_LEVEL),
            help="With --fit pad: gray level around the picture  [default: 0]",
        ),
        option(
            "--resize-filter",
            group=group,
            type=click.Choice(get_args(ResampleFilter)),
            help=f"Filter that resizes pictures of another size{of_filter}",
        ),
        option(
            "--antialias/--no-antialias",
            group=group,
            default=None,
            help="Whether to smooth pictures that shrink, as Pillow does and OpenCV does not  [default: yes]",
        ),
        option(
            "--decode",
            group=group,
            type=click.Choice(get_args(Decoding)),
            help="Size at which JPEG files are decoded; reduced is half their own or less, if the input is much "
            "smaller: faster, and pixels differ little  [default: full]",
        ),
    )
