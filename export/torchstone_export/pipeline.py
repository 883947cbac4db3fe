"""From a run to a published bundle: build the files, prove them, and only then put them in place."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from torchstone_export.bundle.certified_export import CertifiedExport
from torchstone_export.bundle.publish import check_target, published_directory
from torchstone_export.bundle.signing import BundleSigner
from torchstone_export.bundle.writer import FILE_NAMES, write_descriptions
from torchstone_export.cascade.build import cascade_of, choose_routing, load_first
from torchstone_export.certificate.accuracy import require_accuracy
from torchstone_export.certificate.certify import VariantCertificate
from torchstone_export.certificate.reference import Reference, make_reference
from torchstone_export.certificate.runners import certify_files
from torchstone_export.certificate.temperature import calibrate
from torchstone_export.lossy.decide import LossyLimits, LossyVariant, make_lossy
from torchstone_export.lossy.own_data import own_data
from torchstone_export.model import TrainedModel, load_trained
from torchstone_export.room import require_room
from torchstone_export.run_data import certified_part, load_run_data
from torchstone_export.trained_files import build_files
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.evaluation.occurring import missing_by_split
from torchstone_runtime.progress import stage
from torchstone_train.compute.torch_settings import usual_settings
from torchstone_train.data.training_data import TrainingData
from torchstone_train.run.run_dir import RunDirectory


@dataclass(frozen=True, slots=True)
class RunSource:
    """A run that a training wrote.

    Attributes:
        run: directory of the run.
    """

    run: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class CascadeSource:
    """Two runs that become one model: a fast one answers when it is confident, an accurate one answers the rest.

    Attributes:
        run: directory of the accurate model's run.
        fast: directory of the fast model's run.
        threshold: confidence from which the fast one answers alone; chosen on validation if None.
        mirror: whether the accurate one answers with the mean over picture and mirror image, see `cascade.Routing`.
    """

    run: Path
    fast: Path
    threshold: float | None = None
    mirror: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportRequest:
    """What a person asks for, whatever the model comes from.

    Attributes:
        out: path of the bundle to write.
        data_dir: directory of the downloaded datasets.
        dataset: reference of the labelled data; None, for runs alone: where it lay when the run was trained.
        torchscript: whether a TorchScript file is wanted of a PyTorch model.
        temperature: whether a temperature is fitted on validation and folded into the files.
        sign: the private key that signs the bundle, if one does.
        lossy: lossy variants that are wanted, of `int8`, `fp16` and `bf16`; each is shipped only if it keeps to
            `limits`.
        calibration_data: reference of the images that int8 is calibrated on; the training split if None.
        certify_data: reference of the labelled images that decide on a lossy variant's accuracy; the test split if
            None.
        require_lossy: whether one that is not shipped ends the export.
        default_variant: name of the variant that is to be the bundle's default, if it is shipped; else that is `fp32`.
        expect_accuracy: accuracy that the exported file must reach on the test split; None: any.
        check_spec: whether, of a model of another origin, a better preprocessing than the spec's is looked for.
        certify_limit: most images of validation and of test that are certified, drawn at random; None: all.
    """

    out: Path
    data_dir: Path
    dataset: DatasetRef | None = None
    torchscript: bool = True
    temperature: bool = True
    sign: Path | None = None
    lossy: tuple[str, ...] = ()
    limits: LossyLimits = field(default_factory=LossyLimits)
    calibration_data: DatasetRef | None = None
    certify_data: DatasetRef | None = None
    require_lossy: bool = False
    default_variant: str = "fp32"
    expect_accuracy: float | None = None
    check_spec: bool = True
    certify_limit: int | None = None

    @property
    def exact_variants(self) -> int:
        """Number of the variants that must do just what the model does."""
        return 1 + self.torchscript


@dataclass(frozen=True, slots=True)
class Exported:
    """A published bundle, the summary of its certificate, and what its owner should know.

    Attributes:
        rejected: reasons why lossy variants are missing from it, one line per variant.
        warnings: classes without images in a split that it was measured on, one line per set of splits; for a model of
            another origin also doubts about its preprocessing and the order of its classes.
    """

    bundle: Bundle
    summary: list[str]
    rejected: list[str]
    warnings: list[str] = field(default_factory=list)


@usual_settings(traced=True)
def export_run(source: RunSource | CascadeSource, request: ExportRequest) -> Exported:
    """Export a run, verify the exported files over the whole validation and test splits, and publish the bundle.

    Args:
        source: the run, or the two of a cascade.
        request: place of the bundle, and the files wanted.

    Raises:
        DataError: the run or its data is missing, damaged, or not what the run was trained on.
        CheckFailedError: an exported file does not do what the model does or is less accurate than expected, or a lossy
            variant that is required is not good enough; the target is as it was.
        OutputError: the bundle can't be written; the target is as it was.
        UsageError: the target holds something that is not a bundle, or the private key cannot be used.
    """
    check_target(request.out)
    signer = open_signer(request)
    run = RunDirectory.open(source.run)
    model = load_trained(run)
    whole = load_run_data(run.read_info(), request.dataset, request.data_dir)
    data, sample = certified_part(whole, request.certify_limit)
    require_room((data.validation, data.test), request.exact_variants)
    if isinstance(source, CascadeSource):
        first = load_first(RunDirectory.open(source.fast), model)
        routing = choose_routing(first, model, data.validation, threshold=source.threshold, mirror=source.mirror)
        model = cascade_of(first, model, routing, {"validation": data.validation, "test": data.test})
    reference = make_reference(model.module, {"validation": data.validation, "test": data.test})
    reference = replace(reference, sample=sample)
    return export_model(model, data, request, signer=signer, reference=reference, chosen_on=whole.validation)


def open_signer(request: ExportRequest) -> BundleSigner | None:
    """Return what signs the bundle, its key tried and its password asked for, before any work is done.

    Raises:
        UsageError: the private key cannot be used.
    """
    return BundleSigner(request.sign) if request.sign else None


def export_model(
    model: TrainedModel,
    data: TrainingData,
    request: ExportRequest,
    *,
    signer: BundleSigner | None = None,
    reference: Reference | None = None,
    build: Callable[[TrainedModel], dict[str, bytes]] | None = None,
    doubts: Callable[[Reference], list[str]] = lambda _: [],
    chosen_on: Split | None = None,
) -> Exported:
    """Export a model, verify the files over the whole validation and test splits of `data`, and publish the bundle.

    Args:
        model: model that is exported.
        data: data that the files are verified on.
        request: place of the bundle, and the files wanted.
        signer: signer of the bundle; see `open_signer`.
        reference: outputs over both splits that the files are compared with; the model's, float32 and float64, if None.
        build: function that makes the files' bytes by variant; PyTorch's exporters if None.
        doubts: function of the reference that returns what its owner should know of the model, a line each.
        chosen_on: images that the model was chosen on, where `data` has a sample of them alone.

    Raises:
        CheckFailedError: the model gives no answer for an image, an exported file does not do what the model does, is
            less accurate than expected, or a lossy variant that is required is not good enough; the target is as it
            was.
        OutputError: the bundle can't be written; the target is as it was.
    """
    own = own_data(data, request.data_dir, request.calibration_data, request.certify_data, chosen_on)
    reference = reference or make_reference(model.module, {"validation": data.validation, "test": data.test})
    reference.require_finite()
    doubtful = doubts(reference)
    calibration = calibrate(reference, fit=request.temperature)
    model = model.with_temperature(calibration.temperature)
    reference = replace(reference, temperature=calibration.temperature)  # the logits are those without it
    with published_directory(request.out) as folder:
        contents = build(model) if build else build_files(model, torchscript=request.torchscript)
        certificates = _certified(folder, contents, reference, request, doubtful)
        lossy = make_lossy(request.lossy, contents["fp32"], data, reference, request.limits, own)
        _write_lossy(folder, lossy, request)
        certified = CertifiedExport(model, reference, certificates, calibration, lossy)
        _describe_and_sign(folder, certified, request.default_variant, signer)
    splits = {name: part.split for name, part in reference.splits.items()}
    warnings = [] if reference.sample else missing_by_split(splits)
    return Exported(Bundle.open(request.out), certified.told(), certified.rejected(), [*warnings, *doubtful])


def _certified(
    folder: Path, contents: dict[str, bytes], reference: Reference, request: ExportRequest, doubtful: list[str]
) -> dict[str, VariantCertificate]:
    """Write the files, and certify what then lies on the disk, not what was meant to be written."""
    for name, content in contents.items():
        (folder / FILE_NAMES[name]).write_bytes(content)
    certificates = certify_files({name: (folder / FILE_NAMES[name]).read_bytes() for name in contents}, reference)
    _require_passed(certificates, request.out, reference.owner)
    require_accuracy(certificates["fp32"], request.expect_accuracy, request.out, doubtful)
    return certificates


def _describe_and_sign(
    folder: Path, certified: CertifiedExport, default_variant: str, signer: BundleSigner | None
) -> None:
    with stage("writing the golden samples, the certificate and the model card"):
        write_descriptions(folder, certified, default_variant=default_variant)
    bundle = Bundle.open(folder)
    bundle.check_files()
    if signer is not None:
        signer.sign(bundle)


def _write_lossy(folder: Path, lossy: list[LossyVariant], request: ExportRequest) -> None:
    rejected = [item.line for item in lossy if not item.accepted]
    if request.require_lossy and rejected:
        state = "The earlier bundle is as it was" if request.out.exists() else "Nothing was written"
        raise CheckFailedError(
            "A variant that was required is not shipped:",
            f"{state}. Export without it, or with other limits (--max-accuracy-drop, --min-speedup).",
            rejected,
        )
    for item in lossy:
        if item.accepted:
            (folder / FILE_NAMES[item.name]).write_bytes(item.content)


def _require_passed(certificates: dict[str, VariantCertificate], target: Path, owner: str) -> None:
    failures = [f"{name}: {failure}" for name, item in certificates.items() for failure in item.failures]
    if failures:
        state = "The earlier bundle is as it was" if target.exists() else "Nothing was written"
        raise CheckFailedError(
            f"The answers of an exported file are not {owner}:",
            f"{state}. Please report this with the model's recipe and the versions of torch and onnxruntime.",
            failures,
        )
