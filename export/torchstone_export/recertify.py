"""The certificate once more, for a bundle that exists."""

from dataclasses import replace
from pathlib import Path

from torchstone_export.certificate_summary import summarize
from torchstone_export.lossy_check import recheck_lossy
from torchstone_export.model import load_trained
from torchstone_export.reference import make_reference
from torchstone_export.run_data import load_run_data
from torchstone_export.runners import certify_files
from torchstone_runtime.bundle import Bundle
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import CheckFailedError
from torchstone_runtime.variants import LOSSY
from torchstone_train.run_dir import RunDirectory


def recertify_bundle(bundle: Path, run: Path, dataset: DatasetRef | None, data_dir: Path) -> list[str]:
    """Certify every variant of a bundle against the PyTorch model of a run.

    Returns:
        The summary, a line a variant.

    Raises:
        BundleError: the bundle is incomplete or altered.
        DataError: the run or its data is missing or unusable.
        CheckFailedError: a variant does not do what the model does.
    """
    opened = Bundle.open(bundle)
    everything = {variant: opened.read(entry) for variant, entry in opened.manifest.variants.items()}
    contents = {variant: content for variant, content in everything.items() if variant not in LOSSY}
    opened_run = RunDirectory.open(run)
    model = load_trained(opened_run)
    if model.class_names != opened.manifest.class_names or model.spec != opened.manifest.input_spec:
        raise CheckFailedError(f"{run} is not the run of this bundle: its classes or its input differ.")
    data = load_run_data(opened_run.read_info(), dataset, data_dir)
    reference = make_reference(model.module, {"validation": data.validation, "test": data.test})
    reference = replace(reference, temperature=opened.manifest.temperature)
    certificates = certify_files(contents, reference)
    if any(certificate.failures for certificate in certificates.values()):
        raise CheckFailedError(
            "The bundle does not do what the run's model does:\n  " + "\n  ".join(summarize(reference, certificates))
        )
    return [*summarize(reference, certificates), *recheck_lossy(opened, everything, reference)]
