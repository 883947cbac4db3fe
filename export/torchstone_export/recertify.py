"""The certificate once more, for a bundle that exists."""

from dataclasses import replace
from pathlib import Path

from torchstone_export.cascade.build import cascade_of, load_first
from torchstone_export.cascade.confidence_cascade import Routing
from torchstone_export.certificate.reference import make_reference
from torchstone_export.certificate.runners import certify_files
from torchstone_export.certificate.summary import summarize
from torchstone_export.lossy.recheck import recheck_lossy
from torchstone_export.model import TrainedModel, load_trained
from torchstone_export.room import require_room
from torchstone_export.run_data import certified_part, load_run_data
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.certified_sample import recorded_limit
from torchstone_runtime.errors import BundleError, CheckFailedError, UsageError
from torchstone_runtime.inference.variants import LOSSY
from torchstone_train.compute.torch_settings import usual_settings
from torchstone_train.run.run_dir import RunDirectory


@usual_settings(traced=True)
def recertify_bundle(
    bundle: Path, run: Path, fast: Path | None, dataset: DatasetRef | None, data_dir: Path
) -> list[str]:
    """Certify every variant of a bundle against the PyTorch model of a run.

    Args:
        bundle: bundle that exists.
        run: run of its model; of a cascade, the run of the accurate one.
        fast: run of the fast model where the bundle is a cascade; else None.
        dataset: reference of the data where it lies now; the one that the run was trained from if None.
        data_dir: directory of the downloaded datasets.

    Returns:
        The summary, one line per variant.

    Raises:
        BundleError: the bundle is incomplete or altered.
        DataError: the run or its data is missing or unusable.
        CheckFailedError: a variant does not do what the model does.
        UsageError: the bundle is a cascade and `fast` is missing, or is none and it is there.
    """
    opened = Bundle.open(bundle)
    everything = {variant: opened.read(entry) for variant, entry in opened.manifest.variants.items()}
    contents = {variant: content for variant, content in everything.items() if variant not in LOSSY}
    opened_run = RunDirectory.open(run)
    model = _with_fast(load_trained(opened_run), fast, opened)
    if model.class_names != opened.manifest.class_names or model.spec != opened.manifest.input_spec:
        raise CheckFailedError(f"{run} is not the run of this bundle: its classes or its input differ.")
    whole = load_run_data(opened_run.read_info(), dataset, data_dir)
    data, sample = certified_part(whole, recorded_limit(opened.manifest.certificate))
    require_room((data.validation, data.test), len(contents))
    reference = make_reference(model.module, {"validation": data.validation, "test": data.test})
    reference = replace(reference, temperature=opened.manifest.temperature, sample=sample)
    certificates = certify_files(contents, reference)
    if any(certificate.failures for certificate in certificates.values()):
        raise CheckFailedError(
            "The bundle does not do what the run's model does:", details=summarize(reference, certificates)
        )
    return [*summarize(reference, certificates), *recheck_lossy(opened, everything, reference)]


def _with_fast(model: TrainedModel, fast: Path | None, bundle: Bundle) -> TrainedModel:
    cascade = bundle.manifest.provenance.get("cascade")
    if cascade is None and fast is None:
        return model
    if cascade is None:
        raise UsageError(f"{bundle.path} is not a cascade.", "Leave --fast out.")
    if fast is None:
        raise UsageError(f"{bundle.path} is a cascade of two runs.", "Name that of its fast model with --fast.")
    try:
        routing = Routing(**cascade["routing"])
    except (KeyError, TypeError) as error:
        raise BundleError(f"The routing of {bundle.path} is not valid: {error!r}.", "Export it again.") from error
    return cascade_of(load_first(RunDirectory.open(fast), model), model, routing)
