"""Is this the bundle that was exported, and does it still do what it did?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.bundle.golden import golden_of
from torchstone_runtime.bundle.signature import SIGNATURE_FILE, verify_signature
from torchstone_runtime.certificate.recheck import Recheck, read_certified_test, recheck_test
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.certified_sample import certified_sample, recorded_limit
from torchstone_runtime.data.left_out import recorded_left_out
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.evaluation.choose_split import certified_test_split
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.gpu_options import ON_NVIDIA
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.variants import missing_provider, serving_options
from torchstone_runtime.system.cpu import cpu_features, missing_features
from torchstone_runtime.system.openvino import ON_PROCESSOR

_TIES_SHOWN: Final = 10


def verify_bundle(
    path: str | Path, options: LoadOptions, dataset: DatasetRef | None = None, data_dir: Path | None = None
) -> Iterator[str]:
    """Check sizes and SHA-256 of every file, the golden samples, and with data every certified decision.

    Args:
        path: directory of the bundle, or the name of a built-in one.
        options: options of loading, of which `provider`, `tf32` and `public_key` count; with a key, its signature is
            required.
        dataset: data that the bundle was certified on; None leaves decisions and logits over it out.
        data_dir: directory of the downloaded datasets; the default place if None.

    Yields:
        A line on each thing that was checked, as soon as it was.

    Raises:
        BundleError: a file is missing, altered or not readable.
        CheckFailedError: golden samples, decisions or logits are not those of the export, or the signature is wrong.
        DataError: the data is missing, or not the certified one.
        ProviderError: the provider is not available.
    """
    bundle = Bundle.open(path)
    contents = _read_files(bundle)
    count = len(bundle.manifest.variants) + len(bundle.manifest.files)
    yield f"files        {count} of {count} have the size and SHA-256 of the manifest"
    yield from _check_signature(bundle, options)
    for variant in bundle.manifest.variants:
        yield from _check_variant(bundle, variant, contents, options, dataset, data_dir)


def _read_files(bundle: Bundle) -> dict[str, bytes]:
    # Each file is read once, and what was hashed is what is used.
    entries = {**bundle.manifest.variants, **bundle.manifest.files}
    used = {"golden", "certificate", *(name for name in bundle.manifest.variants if _runs_here(bundle, name))}
    contents = {}
    for name, entry in entries.items():
        content = bundle.read(entry)
        if name in used:
            contents[name] = content
    return contents


def _runs_here(bundle: Bundle, variant: str) -> bool:
    try:
        bundle.runnable_variant(variant)
    except UsageError:
        return False
    return True


def _check_signature(bundle: Bundle, options: LoadOptions) -> Iterator[str]:
    if options.public_key is not None:
        count = verify_signature(bundle, Path(options.public_key))
        yield f"signature    valid signature by {options.public_key} over all {count} files"
    elif (bundle.path / SIGNATURE_FILE).is_file():
        yield "signature    there is one; it is not checked without --public-key"


def _check_variant(
    bundle: Bundle,
    variant: str,
    contents: dict[str, bytes],
    options: LoadOptions,
    dataset: DatasetRef | None,
    data_dir: Path | None,
) -> Iterator[str]:
    if variant not in contents:
        yield f"{variant:<12} its hash is right; it is not run here (that takes PyTorch)"
        return
    entry = bundle.manifest.variants[variant]
    missing = missing_features(entry.requires_any, cpu_features())
    if missing and options.provider in ("auto", *ON_PROCESSOR):
        yield f"{variant:<12} its hash is right; it is not run here: {missing}"
        return
    if entry.requires_any and options.provider in ON_NVIDIA:
        yield f"{variant:<12} its hash is right; it is not run here: it was made and measured for processors"
        return
    if missing := missing_provider(entry, options):
        yield f"{variant:<12} its hash is right; it is not run here: {missing}"
        return
    with Classifier.from_content(bundle, variant, contents[variant], serving_options(entry, options)) as classifier:
        golden, plan = _needed(contents, "golden"), classifier.plan
        samples, accepted = golden_of(bundle.manifest, variant, golden, provider=plan.provider, tf32=plan.tf32)
        error = classifier.replay(samples, accepted)
        yield (
            f"{variant:<12} {len(samples.images)} golden samples decide as at export, on {classifier.plan.provider}; "
            f"largest logit difference {error:.2e} (accepted: {accepted:.2e})"
        )
        if dataset is not None:
            for line in _recheck(bundle, classifier, _needed(contents, "certificate"), dataset, data_dir):
                yield f"{variant:<12} {line}"


def _needed(contents: dict[str, bytes], purpose: str) -> bytes:
    if purpose not in contents:
        raise BundleError(f"The bundle has no {purpose} file.", "Export it again.")
    return contents[purpose]


def _recheck(
    bundle: Bundle, classifier: Classifier, certificate: bytes, dataset: DatasetRef, data_dir: Path | None
) -> list[str]:
    certified = read_certified_test(certificate, classifier.plan.variant, classifier.class_names)
    left_out = recorded_left_out(bundle.manifest.provenance.get("dataset", {}))
    names = classifier.class_names
    source = Dataset.for_model(dataset, data_dir, classifier.input_spec, names, left_out=left_out)
    split = certified_sample(
        certified_test_split(source, bundle.manifest.provenance), recorded_limit(bundle.manifest.certificate)
    )
    return _describe(recheck_test(classifier, split, certified))


def _describe(found: Recheck) -> list[str]:
    settled = found.samples - len(found.otherwise)
    count = f"all {settled:,}" if not found.otherwise else f"{settled:,} of {found.samples:,}"
    lines = [f"{count} test decisions are those of the certificate (accuracy {found.accuracy:.4f})"]
    lines += [
        f"near-tie     sample {sample}: {here} here, {certified} in exact arithmetic; both within the accepted error"
        for sample, certified, here in found.otherwise[:_TIES_SHOWN]
    ]
    if found.rms_error is not None:
        lines.append(f"logit error {found.rms_error:.2e} (root mean square; accepted: {found.rms_tolerance:.2e})")
    return lines
