"""Lossy variants once more, for a bundle that exists."""

import json
from collections.abc import Mapping

from torchstone_export.certificate.reference import Reference
from torchstone_export.lossy.production_run import run_split
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.certificate.recheck import Recheck, read_certified_test, recheck_test
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import BundleError, ProviderError
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.variants import FALLBACK, LOSSY, missing_provider
from torchstone_runtime.metrics.answered import decide
from torchstone_runtime.system.cpu import cpu_features, missing_features


def recheck_lossy(bundle: Bundle, contents: Mapping[str, bytes], reference: Reference) -> list[str]:
    """Compare every decision of the lossy variants over the test split with those certified at the export.

    Near-ties may be decided as the accepted error allows, and the logits are compared too, as by `verify --data`.

    Args:
        bundle: bundle that holds them.
        contents: its files by variant, checked against the manifest.
        reference: reference outputs over the test split.

    Returns:
        One line a lossy variant, with its accuracy against `fp32`, or with what keeps it from being run here. The
        speed is not measured again.

    Raises:
        CheckFailedError: a variant does not decide as it was certified to.
        BundleError: the certificate does not know it.
    """
    split = reference.splits["test"].split
    return [f"{name}: {_recheck(bundle, contents, split, name)}" for name in contents if name in LOSSY]


def _recheck(bundle: Bundle, contents: Mapping[str, bytes], split: Split, name: str) -> str:
    entry = bundle.manifest.variants[name]
    missing = missing_features(entry.requires_any, cpu_features()) or missing_provider(entry, LoadOptions())
    if missing:  # it could only be run on the CPU: int8 is measured there
        return f"not run here: {missing}"
    certificate = bundle.read_file("certificate")
    certified = read_certified_test(certificate, name, bundle.manifest.class_names)
    provider = _measured_on(certificate, name)
    options = LoadOptions(provider=provider, precision=entry.precision)
    try:
        classifier = Classifier.from_content(bundle, name, contents[name], options)
    except ProviderError as error:
        return f"not run here: it was measured on '{provider}'. {error.problem}"
    with classifier:
        found = recheck_test(classifier, split, certified)
    base = decide(*run_split(contents[FALLBACK], split, len(bundle.manifest.class_names), provider))
    return _describe(found, float((base == split.labels).mean()))


def _measured_on(certificate: bytes, name: str) -> str:
    try:
        return str(json.loads(certificate)["lossy"][name]["provider"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"The certificate is not valid: {error!r}.", "Export the bundle again.") from error


def _describe(found: Recheck, base: float) -> str:
    ties = len(found.otherwise)
    count = f"{found.samples - ties:,} of {found.samples:,}" if ties else f"all {found.samples:,}"
    others = f" ({ties:,} near-ties are decided otherwise here, within the accepted error)" if ties else ""
    return (
        f"{count} test decisions are those of the certificate{others}; accuracy "
        f"{100 * (found.accuracy - base):+.2f} points against fp32"
    )
