"""`torchstone adopt`. PyTorch is imported only when the command runs."""

from pathlib import Path
from typing import Any, get_args

import click

from torchstone_export.bundle.default_path import default_bundle
from torchstone_export.cli.bundle_options import (
    CERTIFY_LIMIT_OPTION,
    CHECK_SPEC_OPTION,
    EXPECT_OPTION,
    OUT_OPTION,
    PACKAGES,
    SIGN_OPTION,
    TEMPERATURE_HELP,
    report_bundle,
)
from torchstone_export.cli.spec_options import spec_from_options, spec_options
from torchstone_export.foreign.model_spec import Dtype, Layout
from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import DATA_DIR_OPTION, data_option, json_option
from torchstone_runtime.cli.output import require_writable, tell
from torchstone_runtime.cli.progress_line import loading_shown
from torchstone_runtime.components import require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import DataError
from torchstone_train.compute.openmp import wait_passively


@command(
    examples=(
        "torchstone adopt server.onnx --spec spec.toml --data folder:photos",
        "torchstone adopt resnet50.onnx --preprocess torchvision:ResNet50_Weights.IMAGENET1K_V2 --data folder:photos",
    )
)
@click.argument("model", type=click.Path(path_type=Path))
@data_option(required=True)
@OUT_OPTION
@DATA_DIR_OPTION
@option(
    "--temperature/--no-temperature",
    group="Model",
    default=False,
    show_default=True,
    help=TEMPERATURE_HELP,
)
@SIGN_OPTION
@EXPECT_OPTION
@json_option
@CHECK_SPEC_OPTION
@CERTIFY_LIMIT_OPTION
@spec_options
@option(
    "--layout",
    group="Model",
    type=click.Choice(get_args(Layout)),
    help="Layout of the file's input  [default: from its shape]",
)
@option(
    "--dtype", group="Model", type=click.Choice(get_args(Dtype)), help="Type of the file's input  [default: the file's]"
)
def adopt(
    model: Path,
    dataset: str,
    out: Path | None,
    data_dir: Path | None,
    temperature: bool,
    sign: Path | None,
    json_file: Path | None,
    **spec: Any,  # noqa: ANN401 - the options of `spec_options`, and those of the accuracy
) -> None:
    """Wrap MODEL, an ONNX file made elsewhere, into a bundle with preprocessing, golden samples and certificate.

    The certificate shows, on the validation and test splits of --data, that the bundle predicts the same classes as
    MODEL on pixels prepared as the spec says. There is no PyTorch reference, so it can't show that MODEL agrees with
    the model it was made from. With --temperature, the probabilities are no longer MODEL's.
    """
    require_writable([json_file])
    _require_onnx_file(model)
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    wait_passively()
    with loading_shown("PyTorch"):
        from torchstone_export.foreign.adopt import OnnxSource, adopt_onnx
        from torchstone_export.pipeline import ExportRequest
    from torchstone_runtime.data.catalog import DatasetRef

    request = ExportRequest(
        out=out or default_bundle(model.stem),
        data_dir=data_dir or default_data_dir(),
        dataset=DatasetRef.parse(dataset),
        temperature=temperature,
        sign=sign,
        expect_accuracy=spec.pop("expect_accuracy"),
        check_spec=spec.pop("check_spec"),
        certify_limit=spec.pop("certify_limit"),
    )
    exported = adopt_onnx(OnnxSource(model, spec_from_options(spec, model)), request, tell)
    report_bundle(exported, request.out, json_file, dataset)


def _require_onnx_file(model: Path) -> None:
    from torchstone_runtime.bundle.builtin import builtin_names
    from torchstone_runtime.path_kinds.wanted import not_an_onnx_file

    if (other := not_an_onnx_file(model, builtin_names())) is not None:
        raise DataError(*other)
