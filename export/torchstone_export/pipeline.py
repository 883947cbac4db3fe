"""From a run to a published bundle: build the files, prove them, and only then put them in place."""

from dataclasses import dataclass
from pathlib import Path

from torchstone_export.bundle_writer import FILE_NAMES, write_descriptions
from torchstone_export.certificate_summary import summarize
from torchstone_export.certify import VariantCertificate
from torchstone_export.model import TrainedModel, load_trained
from torchstone_export.onnx_file import export_onnx
from torchstone_export.publish import check_target, published_directory
from torchstone_export.reference import make_reference
from torchstone_export.run_data import load_run_data
from torchstone_export.runners import certify_files
from torchstone_export.torchscript_file import export_torchscript
from torchstone_runtime.bundle import Bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import CheckFailedError
from torchstone_train.data import TrainingData
from torchstone_train.run_dir import RunDirectory


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What a person asks for.

    Attributes:
        run: the run directory; out: the bundle to write.
        data_dir: where downloaded datasets lie.
        dataset: where the run's data lies now; where it lay when it was trained if None.
        torchscript: whether a TorchScript file is wanted.
    """

    run: Path
    out: Path
    data_dir: Path
    dataset: DatasetRef | None = None
    torchscript: bool = True


@dataclass(frozen=True, slots=True)
class Exported:
    """A published bundle and the summary of its certificate."""

    bundle: Bundle
    summary: list[str]


def export_run(request: ExportRequest) -> Exported:
    """Export a run, verify the exported files over the whole validation and test splits, and publish the bundle.

    Raises:
        DataError: the run or its data is missing, damaged, or not what the run was trained on.
        CheckFailedError: an exported file does not do what the model does; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
        UsageError: the target holds something that is no bundle.
    """
    check_target(request.out)
    run = RunDirectory.open(request.run)
    model = load_trained(run)
    data = load_run_data(run.read_info(), request.dataset, request.data_dir)
    return export_model(model, data, request)


def export_model(model: TrainedModel, data: TrainingData, request: ExportRequest) -> Exported:
    """Export a model, verify the files over the whole validation and test splits of `data`, and publish the bundle.

    Raises:
        CheckFailedError: an exported file does not do what the model does; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
    """
    reference = make_reference(model.module, {"validation": data.validation, "test": data.test})
    with published_directory(request.out) as folder:
        contents = _build_files(model, torchscript=request.torchscript)
        for name, content in contents.items():
            (folder / FILE_NAMES[name]).write_bytes(content)
        certificates = certify_files(_read_back(folder, list(contents)), reference)
        _require_passed(certificates, request.out)
        write_descriptions(folder, list(contents), model, reference, certificates)
        Bundle.open(folder).check_files()
    return Exported(Bundle.open(request.out), summarize(reference, certificates))


def _read_back(folder: Path, variants: list[str]) -> dict[str, bytes]:
    # What is certified is what lies on the disk, not what was meant to be written.
    return {variant: (folder / FILE_NAMES[variant]).read_bytes() for variant in variants}


def _build_files(model: TrainedModel, *, torchscript: bool) -> dict[str, bytes]:
    contents = {"fp32": export_onnx(model.module, model.name, model.class_names, model.spec)}
    if torchscript:
        contents["torchscript"] = export_torchscript(model.module, model.spec)
    return contents


def _require_passed(certificates: dict[str, VariantCertificate], target: Path) -> None:
    failures = [f"{name}: {failure}" for name, item in certificates.items() for failure in item.failures]
    if failures:
        state = "The earlier bundle is as it was" if target.exists() else "Nothing was written"
        raise CheckFailedError(
            "An exported file does not do what the PyTorch model does:\n  " + "\n  ".join(failures),
            f"{state}. Please report this with the model's recipe and the versions of torch and onnxruntime.",
        )
