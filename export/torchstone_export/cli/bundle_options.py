"""The options of every command that writes a bundle, and the packages that it needs."""

from pathlib import Path
from typing import Final

import click

PACKAGES: Final = ("torch", "torchvision", "onnx", "onnxscript", "safetensors", "tqdm")

OUT_OPTION = click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="The bundle directory to write."
)
DATA_DIR_OPTION = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Where datasets lie [TORCHSTONE_DATA, or ./data]."
)
SIGN_OPTION = click.option(
    "--sign",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Sign the bundle with this private key (PEM, P-256, P-384 or P-521); needs torchstone[sign].",
)
