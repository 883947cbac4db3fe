"""`torchstone export | quickstart`. PyTorch is imported only when a command runs."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from torchstone_export.cli.bundle_options import DATA_DIR_OPTION, OUT_OPTION, PACKAGES, SIGN_OPTION
from torchstone_export.cli.spec_options import any_given, spec_from_options, spec_options
from torchstone_runtime.cli.output import tell
from torchstone_runtime.components import require_component
from torchstone_runtime.data.location import default_data_dir
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import showable, showable_lines
from torchstone_train.compute.openmp import wait_passively

if TYPE_CHECKING:
    from torchstone_export.pipeline import Exported, ExportRequest


_LOSSY_OPTIONS = (
    *("int8", "fp16", "max_accuracy_drop", "min_speedup", "require_variants", "default_variant", "provider"),
)
_CASCADE_OPTIONS = ("fast", "threshold", "mirror")
_MODULE_OPTIONS = ("weights", "weights_key", "data")


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@OUT_OPTION
@click.option(
    "--fast",
    type=click.Path(path_type=Path),
    help="The run of a faster model that answers where it is sure; RUN answers the rest (a cascade, in one file).",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Of --fast: the confidence from which it answers alone.  [chosen on the validation split]",
)
@click.option("--mirror", is_flag=True, help="With --fast: RUN answers with the mean over picture and mirror image.")
@click.option("--torchscript/--no-torchscript", default=True, show_default=True, help="Export TorchScript as well.")
@click.option(
    "--temperature/--no-temperature",
    default=True,
    show_default=True,
    help="Fit a temperature on the validation split, so that the probabilities agree with the accuracy.",
)
@SIGN_OPTION
@DATA_DIR_OPTION
@click.option("--dataset", help="Where the run's data lies now, if it was moved.")
@click.option("--int8", is_flag=True, help="Add an 8-bit variant, if it is accurate enough and faster on this machine.")
@click.option("--fp16", is_flag=True, help="Add a 16-bit variant (for GPUs), on the same conditions.")
@click.option(
    "--max-accuracy-drop",
    default=0.003,
    show_default=True,
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Largest drop of the test accuracy against fp32; the 95% interval must exclude a larger one.",
)
@click.option(
    "--min-speedup",
    default=1.1,
    show_default=True,
    type=click.FloatRange(min=0),
    help="Smallest speed ratio to fp32; its 95% interval must lie above.",
)
@click.option("--require-variants", is_flag=True, help="Fail, and write nothing, if one of these is not accepted.")
@click.option(
    "--default-variant",
    default="fp32",
    show_default=True,
    type=click.Choice(["fp32", "int8", "fp16"]),
    help="The variant that runs where none is named, if it is accepted.",
)
@click.option("--provider", default="cpu", show_default=True, help="Where int8 and fp16 are measured: cpu or cuda.")
@click.option("--module", metavar="PACKAGE:FACTORY", help="In place of RUN: what makes a torch.nn.Module of your own.")
@click.option("--arg", "arguments", metavar="KEY=VALUE", multiple=True, help="An argument of the factory.")
@click.option("--weights", type=click.Path(path_type=Path), help="Its state dict: .pt, .pth or .safetensors.")
@click.option("--weights-key", metavar="KEY", help="Which set of weights in --weights, where there are several.")
@click.option("--data", help="Labelled data for --module: the proof is made over its validation and test splits.")
@spec_options
def export(
    run: Path | None,
    out: Path,
    torchscript: bool,
    temperature: bool,
    sign: Path | None,
    data_dir: Path | None,
    dataset: str | None,
    **options: Any,  # noqa: ANN401 - those of lossy variants, cascades and modules, as declared above
) -> None:
    """Export RUN to ONNX and TorchScript, prove both over the whole validation and test splits, write a bundle.

    The bundle appears whole or not at all. Exit code 1, with the numbers, where a file does not do what the trained
    model does; an earlier bundle is then untouched. A lossy variant (--int8, --fp16) that does not pay is left out,
    with the reason on stderr and in the certificate.

    With --fast, two trained models become one file: a cascade. verify, evaluate and serve it like any other.

    With --module in place of RUN, a torch.nn.Module of your own is exported; the options from --spec on say what it
    takes and gives.
    """
    lossy = {name: options.pop(name) for name in _LOSSY_OPTIONS}
    cascade = {name: options.pop(name) for name in _CASCADE_OPTIONS}
    foreign = options
    names = _lossy_names(lossy)
    _require_one_origin(run, dataset, foreign)
    _require_cascade(run, cascade)
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    wait_passively()
    from torchstone_export.lossy.decide import LossyLimits  # noqa: PLC0415 - loads PyTorch
    from torchstone_export.pipeline import ExportRequest, export_run  # noqa: PLC0415 - likewise
    from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415

    ref = DatasetRef.parse(dataset) if dataset else None
    request = ExportRequest(
        run=run,
        **cascade,
        out=out,
        data_dir=data_dir or default_data_dir(),
        dataset=ref,
        torchscript=torchscript,
        temperature=temperature,
        sign=sign,
        lossy=names,
        limits=LossyLimits(**{key: lossy[key] for key in ("max_accuracy_drop", "min_speedup", "provider")}),
        require_lossy=lossy["require_variants"],
        default_variant=lossy["default_variant"],
    )
    exported = export_run(request) if run is not None else _export_module(request, foreign)
    click.echo(showable_lines(exported.summary))
    for line in (*exported.warnings, *exported.rejected):
        tell(f"Warning: {line}")
    click.echo(showable_lines([f"bundle: {out}", f"next: torchstone evaluate {out} --data DATASET"]))


def _require_one_origin(run: Path | None, dataset: str | None, foreign: dict[str, Any]) -> None:
    module = foreign["module"]
    if run is None and module is None:
        raise UsageError("Nothing to export was named.", "Give the RUN that a training wrote, or --module.")
    if run is not None and (any_given(foreign) or any(foreign[name] for name in ("module", *_MODULE_OPTIONS))):
        raise UsageError(
            "RUN is exported as it was trained; --module, --weights, --data and the options from --spec on are for "
            "modules of your own.",
            "Give RUN or --module, not both. A run's data that was moved is named with --dataset.",
        )
    if module is not None and dataset is not None:
        raise UsageError("--dataset says where a run's data lies now.", "With --module, name the data with --data.")


def _require_cascade(run: Path | None, options: dict[str, Any]) -> None:
    fast = options["fast"]
    if fast is None and (options["threshold"] is not None or options["mirror"]):
        raise UsageError(
            "--threshold and --mirror belong to a cascade.", "Name the run of its faster model with --fast."
        )
    if fast is not None and run is None:
        raise UsageError("--fast is the first of a cascade's two runs.", "Give RUN, which answers the rest.")


def _export_module(request: "ExportRequest", foreign: dict[str, Any]) -> "Exported":
    from torchstone_export.foreign.export_module import export_module, require_module_options  # noqa: PLC0415
    from torchstone_export.foreign.factory import parse_arguments  # noqa: PLC0415 - loads PyTorch
    from torchstone_export.foreign.module_model import ModuleSource  # noqa: PLC0415

    module = foreign["module"]
    weights, ref = require_module_options(module, foreign["weights"], foreign["data"])
    spec = spec_from_options(foreign)
    source = ModuleSource(
        factory=module,
        weights=weights,
        arguments=parse_arguments(foreign["arguments"]),
        weights_key=foreign["weights_key"],
    )
    return export_module(source, spec, replace(request, dataset=ref), tell)


def _lossy_names(options: Mapping[str, Any]) -> tuple[str, ...]:
    names = tuple(name for name in ("int8", "fp16") if options[name])
    if options["provider"] not in ("cpu", "cuda"):
        raise UsageError(f"--provider {options['provider']} is not known here.", "Give cpu or cuda.")
    if options["default_variant"] not in ("fp32", *names):
        raise UsageError(
            f"--default-variant {options['default_variant']} names a variant that is not exported.",
            f"Add --{options['default_variant']}.",
        )
    if options["require_variants"] and not names:
        raise UsageError("--require-variants needs a variant to require.", "Add --int8 or --fp16.")
    return names


@click.command()
@click.option("--out", default="quickstart", show_default=True, type=click.Path(path_type=Path), help="Where to write.")
def quickstart(out: Path) -> int:
    """Show the whole line in under a minute: train on the embedded digits, export, verify, evaluate without PyTorch."""
    require_component("all", *PACKAGES, "onnxruntime")
    wait_passively()
    from torchstone_export.cli.quickstart import run_quickstart  # noqa: PLC0415 - loads PyTorch

    return run_quickstart(out)


def recertify(bundle: Path, run: Path, fast: Path | None, dataset: str | None, data_dir: Path | None) -> None:
    """Make the certificate of a bundle anew from its run; what `torchstone verify --run` calls.

    Args:
        bundle: that exists.
        run: of its model.
        fast: of a cascade, the run of the fast model.
        dataset: where the data lies now.
        data_dir: where downloaded datasets lie.

    Raises:
        CheckFailedError: a file of the bundle does not do what the run's model does.
    """
    require_component("export", *PACKAGES)
    require_component("cpu", "onnxruntime")
    wait_passively()
    from torchstone_export.recertify import recertify_bundle  # noqa: PLC0415 - loads PyTorch
    from torchstone_runtime.data.catalog import DatasetRef  # noqa: PLC0415

    ref = DatasetRef.parse(dataset) if dataset else None
    for line in recertify_bundle(bundle, run, fast, ref, data_dir or default_data_dir()):
        click.echo(showable(line))
