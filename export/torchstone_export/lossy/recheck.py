"""Lossy variants once more, for a bundle that exists."""

import json
from collections.abc import Mapping

from torchstone_export.certificate.reference import Reference
from torchstone_export.lossy.production_run import run_split
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.errors import BundleError, CheckFailedError
from torchstone_runtime.evaluation.evaluate import decisions_sha256
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.variants import FALLBACK, LOSSY, missing_provider
from torchstone_runtime.metrics.answered import decide
from torchstone_runtime.metrics.paired import compare_decisions
from torchstone_runtime.system.cpu import cpu_features, missing_features


def recheck_lossy(bundle: Bundle, contents: Mapping[str, bytes], reference: Reference) -> list[str]:
    """Compare every decision of the lossy variants over the test split with those certified at the export.

    Args:
        bundle: bundle that holds them.
        contents: its files by variant, checked against the manifest.
        reference: reference outputs over the test split.

    Returns:
        One line a lossy variant, with its accuracy against `fp32`. The speed is not measured again.

    Raises:
        CheckFailedError: a variant does not decide as it was certified to.
        BundleError: the certificate does not know it.
    """
    return [_recheck(bundle, contents, reference, name) for name in contents if name in LOSSY]


def _recheck(bundle: Bundle, contents: Mapping[str, bytes], reference: Reference, name: str) -> str:
    entry = bundle.manifest.variants[name]
    missing = missing_features(entry.requires_any, cpu_features()) or missing_provider(entry, LoadOptions())
    if missing:  # it could only be run on the CPU: int8 is measured there
        return f"{name}: not run here: {missing}"
    split = reference.splits["test"].split
    try:
        certificate = json.loads(bundle.read_file("certificate"))
        certified = certificate["variants"][name]["splits"]["test"]["decisions_sha256"]
        provider = str(certificate["lossy"][name]["provider"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BundleError(f"The certificate is not valid: {error!r}.", "Export the bundle again.") from error
    classes = reference.num_classes
    base = decide(*run_split(contents[FALLBACK], split, classes, provider))
    found = decide(*run_split(contents[name], split, classes, provider, entry.precision))
    paired = compare_decisions(split.labels, base, found)
    if decisions_sha256(found) != certified:
        raise CheckFailedError(f"{name} does not decide as it was certified to; against fp32: {paired.to_json()}.")
    return (
        f"{name}: all {len(split):,} test decisions are those of the certificate; "
        f"accuracy {100 * paired.difference:+.2f} points against fp32"
    )
