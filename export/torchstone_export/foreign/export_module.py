"""From a module of another origin to a published bundle."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torchstone_export.bundle.publish import check_target
from torchstone_export.certificate.reference import Reference
from torchstone_export.foreign.doubts import find_doubts
from torchstone_export.foreign.given_data import load_given_data
from torchstone_export.foreign.module_model import ModuleSource, load_module
from torchstone_export.foreign.module_network import NormalizedNetwork, answer_of
from torchstone_export.foreign.module_reference import make_module_reference
from torchstone_export.formats.exporter_errors import (
    explain_onnx_failure,
    explain_torchscript_failure,
    exporters_silent,
)
from torchstone_export.formats.onnx_file import export_onnx
from torchstone_export.formats.torchscript_file import export_torchscript
from torchstone_export.model import TrainedModel
from torchstone_export.pipeline import Exported, ExportRequest, export_model, open_signer
from torchstone_export.room import require_room
from torchstone_export.run_data import certified_part
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError
from torchstone_runtime.progress import stage
from torchstone_train.compute.torch_settings import usual_settings


@usual_settings(traced=True)
def export_module(
    source: ModuleSource, request: ExportRequest, tell: Callable[[str], None] = lambda _: None
) -> Exported:
    """Export a module, verify the files over the validation and test splits of the data given, publish the bundle.

    Args:
        source: factory, weights, and the specification of the module's input and output.
        request: place of the bundle, the files wanted, and the data.
        tell: function that is called with a sentence on each thing that was chosen, left out, or is in doubt.

    Raises:
        DataError: the owner's code failed, or weights, data, spec and module don't belong together.
        CheckFailedError: an exported file does not do what the module does; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
        UsageError: something was not given, or leads to nothing.
    """
    if request.dataset is None:
        raise UsageError("No labelled data was named.", "Add --data DATASET: the certificate is computed on it.")
    check_target(request.out)
    signer = open_signer(request)
    whole = load_given_data(request.dataset, request.data_dir, source.spec)
    data, sample = certified_part(whole, request.certify_limit)
    require_room((data.validation, data.test), request.exact_variants)
    model = load_module(source, whole if sample else data, tell)
    reference = make_module_reference(model.module, {"validation": data.validation, "test": data.test})
    reference = replace(reference, sample=sample)
    network = model.module.classifier.network
    if not isinstance(network, NormalizedNetwork):
        raise TypeError(f"load_module gave a {type(network).__name__}")
    if network.two_classes is not None:
        note = network.two_classes.describe(model.class_names)
        reference = replace(reference, origin=f"{reference.origin}; {note}")

    def build(built: TrainedModel) -> dict[str, bytes]:
        return build_module_files(built, torchscript=request.torchscript)

    def doubts(found: Reference) -> list[str]:
        return find_doubts(source.spec, found, answer_of(network) if request.check_spec else None, tell)

    return export_model(
        model, data, request, signer=signer, reference=reference, build=build, doubts=doubts, chosen_on=whole.validation
    )


def build_module_files(model: TrainedModel, *, torchscript: bool) -> dict[str, bytes]:
    """Return the bytes of the model files by variant.

    Raises:
        DataError: PyTorch's exporters can't export the module; the message says what stops them.
    """
    try:
        with stage("exporting to ONNX"), exporters_silent():
            contents = {"fp32": export_onnx(model.module, model.name, model.class_names, model.spec)}
    except Exception as error:  # the exporters raise whatever an operator or the owner's code raises
        raise explain_onnx_failure(error) from error
    if torchscript:
        try:
            with stage("exporting to TorchScript"), exporters_silent():
                contents["torchscript"] = export_torchscript(model.module, model.spec)
        except Exception as error:  # likewise
            raise explain_torchscript_failure(error) from error
    return contents


def require_module_options(module: str, weights: Path | None, data: str | None) -> tuple[Path, DatasetRef]:
    """Return the weights and the data that `--module` needs.

    Raises:
        UsageError: one was not given.
    """
    if weights is None:
        raise UsageError(
            f"--module {module} needs --weights: without them the model would be an untrained one.",
            "Give a state dict: .pt, .pth or .safetensors.",
        )
    if data is None:
        raise UsageError(
            f"--module {module} needs --data: the certificate is computed on labelled images.", "--data folder:PATH"
        )
    return weights, DatasetRef.parse(data)
