"""Options that several commands share."""

import click

PROVIDER_OPTION = click.option(
    "--provider",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda, tensorrt or openvino. One asked for by name runs every node, or the command fails.",
)
VARIANT_OPTION = click.option("--variant", help="Which model of the bundle [its default one].")
THREADS_OPTION = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Calls that run at once [the processors this process may use].",
)
