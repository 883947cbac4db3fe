"""`torchstone adopt`. PyTorch is imported only when the command runs."""

from pathlib import Path
from typing import Any, get_args

import click

from torchstone_export.cli.bundle_options import DATA_DIR_OPTION, OUT_OPTION, PACKAGES, SIGN_OPTION
from torchstone_export.cli.spec_options import spec_from_options, spec_options
from torchstone_export.foreign.model_spec import Dtype, Layout
from torchstone_runtime.cli.output import tell
from torchstone_runtime.components import require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.text import showable_lines
from torchstone_train.compute.openmp import wait_passively


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="Labelled data: the proof is made over its validation and test splits.")
@OUT_OPTION
@DATA_DIR_OPTION
@click.option(
    "--temperature/--no-temperature",
    default=False,
    show_default=True,
    help="Fit a temperature on the validation split: the probabilities are then no longer MODEL's.",
)
@SIGN_OPTION
@spec_options
@click.option("--layout", type=click.Choice(get_args(Layout)), help="Of the file's input [from its shape].")
@click.option("--dtype", type=click.Choice(get_args(Dtype)), help="Of the file's input [the file's own].")
def adopt(
    model: Path,
    data: str,
    out: Path,
    data_dir: Path | None,
    temperature: bool,
    sign: Path | None,
    **spec: Any,  # noqa: ANN401 - the options of `spec_options`
) -> None:
    """Wrap MODEL, an ONNX file made elsewhere, into a bundle with preprocessing, golden samples and certificate.

    Proven is that the bundle decides as MODEL does on pixels prepared as the spec says. Whether MODEL decides as the
    model that it was made from can't be: there is no PyTorch reference, and the certificate says so.
    """
    stated = spec_from_options(spec)
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    wait_passively()
    from torchstone_export.foreign.adopt import adopt_onnx  # noqa: PLC0415 - loads PyTorch
    from torchstone_export.pipeline import ExportRequest  # noqa: PLC0415
    from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415

    request = ExportRequest(
        out=out,
        data_dir=data_dir or default_data_dir(),
        dataset=DatasetRef.parse(data),
        temperature=temperature,
        sign=sign,
    )
    exported = adopt_onnx(model, stated, request)
    click.echo(showable_lines(exported.summary))
    for line in exported.warnings:
        tell(f"Warning: {line}")
    click.echo(showable_lines([f"bundle: {out}", f"next: torchstone evaluate {out} --data DATASET"]))
