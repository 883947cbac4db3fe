"""The accuracy of an exported file: told, and held to what its owner expects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from torchstone_export.certificate.certify import VariantCertificate
from torchstone_runtime.errors import CheckFailedError

_CAUSES: Final = (
    "Likely causes: pictures fitted, resized or normalised otherwise than where the figure comes from (--preprocess, "
    "--fit, --mean, --std, --color), other weights, another order of the classes, or other images."
)


def accuracy_line(certificate: VariantCertificate) -> str:
    """Return one line: the accuracy on each split, and its number of images."""
    parts = (f"{name} {part['accuracy']:.4f} ({part['samples']:,} images)" for name, part in certificate.splits.items())
    return f"accuracy of fp32: {', '.join(parts)}"


def require_accuracy(
    certificate: VariantCertificate, expected: float | None, target: Path, causes: Sequence[str] = ()
) -> None:
    """Check that the accuracy on the test split is as high as expected.

    Args:
        certificate: certificate of the file.
        expected: accuracy from 0 to 1; None: any will do.
        target: place of the bundle, which is not written.
        causes: warnings that were found on the way; where there are none, the usual causes are named.

    Raises:
        CheckFailedError: it is lower.
    """
    test = certificate.splits["test"]
    if expected is None or test["accuracy"] >= expected:
        return
    state = "The earlier bundle is as it was" if target.exists() else "Nothing was written"
    raise CheckFailedError(
        f"The accuracy on the test split is {test['accuracy']:.4f} ({test['correct']:,} of {test['samples']:,} "
        f"images), lower than the {expected:g} that was expected.{_few_images(test, expected)}",
        f"{state}." if causes else f"{state}. {_CAUSES}",
        causes,
    )


def _few_images(test: Mapping[str, Any], expected: float) -> str:
    low, high = test["metrics"]["accuracy_interval_95"]
    if high < expected:
        return ""
    return f" So few images can't tell the two apart: the 95% interval is {low:.4f} to {high:.4f}."
