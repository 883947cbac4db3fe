"""`torchstone export | quickstart`. PyTorch is imported only when a command runs."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

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
from torchstone_export.cli.export_options import (
    CASCADE_NAMES,
    LOSSY_NAMES,
    MODULE_NAMES,
    cascade_options,
    lossy_options,
    module_options,
)
from torchstone_export.cli.spec_options import any_given, spec_from_options, spec_options
from torchstone_export.lossy.names import LOSSY_VARIANTS
from torchstone_export.option_checks import require_cascade, require_variants
from torchstone_runtime.cli.command import command, option
from torchstone_runtime.cli.options import DATA_DIR_OPTION, data_option, json_option, out_option
from torchstone_runtime.cli.output import require_writable, tell
from torchstone_runtime.cli.progress_line import loading_shown
from torchstone_runtime.components import require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_train.compute.openmp import wait_passively

if TYPE_CHECKING:
    from torchstone_export.pipeline import Exported, ExportRequest
    from torchstone_runtime.data.catalog import DatasetRef


@command(
    examples=(
        "torchstone export runs/cnn3-1 --int8",
        "torchstone export --module models.resnet:build --weights best.pt --spec spec.toml --data folder:photos",
        "torchstone export --module my_models:resnet --weights best.pt --preprocess timm:resnet50 --data folder:photos",
    )
)
@click.argument("run", type=click.Path(path_type=Path), required=False)
@data_option()
@DATA_DIR_OPTION
@OUT_OPTION
@json_option
@option(
    "--torchscript/--no-torchscript", group="Output", default=True, show_default=True, help="Also export TorchScript."
)
@SIGN_OPTION
@EXPECT_OPTION
@option(
    "--temperature/--no-temperature",
    group="Model",
    default=True,
    show_default=True,
    help=TEMPERATURE_HELP,
)
@lossy_options
@cascade_options
@module_options
@CHECK_SPEC_OPTION
@CERTIFY_LIMIT_OPTION
@spec_options
def export(
    run: Path | None,
    out: Path | None,
    torchscript: bool,
    temperature: bool,
    sign: Path | None,
    data_dir: Path | None,
    dataset: str | None,
    json_file: Path | None,
    **options: Any,  # noqa: ANN401 - those of lossy variants, cascades and modules, as declared above
) -> None:
    """Export RUN to ONNX and TorchScript, prove both on the whole validation and test splits, and write a bundle.

    The bundle appears complete or not at all. If a file does not reproduce the trained model, the exit code is 1, the
    numbers are shown, and an earlier bundle is untouched. A lossy variant (--int8, --fp16, --bf16) that is not accurate
    or fast enough is left out, with the reason on stderr and in the certificate.

    A RUN needs --data only if its data was moved. --provider says where a lossy variant is measured: cpu or cuda.

    With --fast, two trained models become one file: a cascade. RUN answers where the fast model isn't confident.
    verify, evaluate and serve it like any other.

    With --module instead of RUN, your own torch.nn.Module is exported, and the certificate is computed on --data; the
    options from --spec on describe its input and output.
    """
    require_writable([json_file])
    lossy = {name: options.pop(name) for name in LOSSY_NAMES}
    cascade = {name: options.pop(name) for name in CASCADE_NAMES}
    names = _lossy_names(lossy)
    _require_one_origin(run, options)
    _require_cascade(run, cascade)
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    wait_passively()
    with loading_shown("PyTorch"):
        from torchstone_export.pipeline import CascadeSource, ExportRequest, RunSource, export_run

    request = ExportRequest(
        out=out or default_bundle(run.resolve().name if run is not None else options["name"] or options["module"]),
        data_dir=data_dir or default_data_dir(),
        dataset=_reference(dataset),
        torchscript=torchscript,
        temperature=temperature,
        sign=sign,
        **{name: options.pop(name) for name in ("expect_accuracy", "check_spec", "certify_limit")},
        **_lossy_fields(names, lossy),
    )
    if run is None:
        exported = _export_module(request, dataset, options)
    else:
        source = RunSource(run) if cascade["fast"] is None else CascadeSource(run=run, **cascade)
        exported = export_run(source, request)
    report_bundle(exported, request.out, json_file, dataset or _data_of(run))


def _data_of(run: Path | None) -> str:
    """Return the data that a run was trained from, as `--data` takes it; a module has a `--data` of its own."""
    from torchstone_train.run.run_dir import RunDirectory

    return "DATASET" if run is None else str(RunDirectory.open(run).read_info()["dataset"]["source"])


def _lossy_fields(names: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that the options of lossy variants fill."""
    from torchstone_export.lossy.lossy_variant import LossyLimits

    limits = ("max_accuracy_drop", "min_speedup", "provider", "int8_minutes")
    return {
        "lossy": names,
        "limits": LossyLimits(**{name: options[name] for name in limits}),
        "calibration_data": _reference(options["calibration_data"]),
        "certify_data": _reference(options["certify_data"]),
        "require_lossy": options["require_variants"],
        "default_variant": options["default_variant"],
    }


def _reference(text: str | None) -> "DatasetRef | None":
    from torchstone_runtime.data.catalog import DatasetRef

    return DatasetRef.parse(text) if text else None


def _require_one_origin(run: Path | None, foreign: dict[str, Any]) -> None:
    module = foreign["module"]
    if run is None and module is None:
        raise UsageError("Nothing to export was named.", "Give the RUN that a training wrote, or --module.")
    of_module = any_given(foreign) or any(foreign[name] for name in MODULE_NAMES) or _was_given("check_spec")
    if run is not None and of_module:
        raise UsageError(
            "RUN is exported as it was trained; --module, --arg, --weights, --check-spec and the options from --spec "
            "on are for modules of your own.",
            "Give RUN or --module, not both.",
        )


def _require_cascade(run: Path | None, options: dict[str, Any]) -> None:
    fast = options["fast"]
    require_cascade(fast, options["threshold"], mirror=options["mirror"], spelled=_flag)
    if fast is not None and run is None:
        raise UsageError("--fast is the first of a cascade's two runs.", "Give RUN, which answers the rest.")


def _export_module(request: "ExportRequest", dataset: str | None, foreign: dict[str, Any]) -> "Exported":
    from torchstone_export.foreign.export_module import export_module, require_module_options
    from torchstone_export.foreign.factory import parse_arguments
    from torchstone_export.foreign.module_model import ModuleSource

    module = foreign["module"]
    weights, ref = require_module_options(module, foreign["weights"], dataset)
    source = ModuleSource(
        factory=module,
        weights=weights,
        spec=spec_from_options(foreign),
        arguments=parse_arguments(foreign["arguments"]),
        weights_key=foreign["weights_key"],
    )
    return export_module(source, replace(request, dataset=ref), tell)


def _was_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _lossy_names(options: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(name for name in LOSSY_VARIANTS if options[name])
    given = [name for name in LOSSY_NAMES if name not in (*LOSSY_VARIANTS, "default_variant") and _was_given(name)]
    default, provider = options["default_variant"], options["provider"]
    require_variants(names, given, default=default, provider=provider, spelled=_flag)
    return names


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@command(examples=("torchstone quickstart", "torchstone quickstart --out demo"))
@out_option("quickstart")
@json_option
def quickstart(out: Path | None, json_file: Path | None) -> int:
    """Train on the embedded digits, export, verify, and evaluate without PyTorch: everything in a minute."""
    require_component("all", *PACKAGES, "onnxruntime")
    require_writable([json_file])
    wait_passively()
    from torchstone_export.cli.quickstart import run_quickstart

    return run_quickstart(out or Path("quickstart"), json_file)


def recertify(bundle: Path, run: Path, fast: Path | None, dataset: str | None, data_dir: Path | None) -> Iterator[str]:
    """Compute the certificate of a bundle anew from its run; what `torchstone verify --run` calls.

    Args:
        bundle: directory of an existing bundle.
        run: directory of the run that the bundle's model comes from.
        fast: directory of the fast model's run, for a cascade; else None.
        dataset: reference of the data where it lies now; the one that the run was trained from if None.
        data_dir: directory of the downloaded datasets; the default place if None.

    Yields:
        A line on each thing that was checked.

    Raises:
        CheckFailedError: a file of the bundle does not do what the run's model does.
    """
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    wait_passively()
    from torchstone_export.recertify import recertify_bundle
    from torchstone_runtime.data.catalog import DatasetRef

    ref = DatasetRef.parse(dataset) if dataset else None
    yield from recertify_bundle(bundle, run, fast, ref, data_dir or default_data_dir())
