"""A certificate in a few lines for people: on the terminal, in `inspect` and in the model card."""

from collections.abc import Mapping, Sequence
from typing import Any

from torchstone_export.certificate.certify import VariantCertificate
from torchstone_export.certificate.error_limits import EXPORT_LIMITS
from torchstone_export.certificate.reference import Reference
from torchstone_export.certificate.split_figures import unseen_flips
from torchstone_runtime.data.certified_sample import KEY, describe_sample


def summarize(reference: Reference, variants: Mapping[str, VariantCertificate]) -> list[str]:
    """Return three lines per variant (one, if it failed), and one on how the two exports agree with each other.

    Where not all images were run, a line says so; where the reference is a weak one, the last.
    """
    lines = [line for name, variant in variants.items() for line in _variant_lines(name, variant, reference)]
    if len(variants) > 1 and not any(variant.failures for variant in variants.values()):
        lines += _pair_lines(variants)
    if reference.sample:
        lines.append(_sample_line(reference))
    return [*lines, f"reference: {reference.caveat}"] if reference.caveat else lines


def bound_line(name: str, splits: Mapping[str, Mapping[str, Any]], owner: str) -> str:
    """Return one line on how many images that were not run may be decided otherwise."""
    found = unseen_flips(splits)
    return (
        f"{name}: among images drawn as these were, at most {_percent(found['rate_at_most'])} of the decisions are "
        f"not {owner} ({found['flips']:,} of {found['images']:,} were not; exact binomial bound, "
        f"{100 * found['confidence']:g}%)"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"


def _sample_line(reference: Reference) -> str:
    document = {KEY: reference.sample}
    parts = [f"{name} {describe_sample(document, name, len(part.split))}" for name, part in reference.splits.items()]
    return f"sample: not every image was run: {'; '.join(parts)}; what is said of all decisions is said of these"


def _variant_lines(name: str, variant: VariantCertificate, reference: Reference) -> list[str]:
    if variant.failures:
        return [f"{name}: FAILED: {'; '.join(variant.failures)}"]
    limits = EXPORT_LIMITS
    parts = list(variant.splits.values())
    samples, flips = sum(part["samples"] for part in parts), sum(part["flips"] for part in parts)
    multiple, rms = max(part["error_multiple"] for part in parts), max(part["rms_multiple"] for part in parts)
    agreement = "all" if flips == 0 else f"{samples - flips:,} of"
    near = sum(len(part["repeat"]["near_ties"]) for part in parts if "repeat" in part)
    return [
        (
            f"{name}: {agreement} {samples:,} decisions are {reference.owner} ({_over(reference)}); "
            f"largest error {multiple:.2f} x {reference.owner} own"
        ),
        (
            f"{name}: RMS error {rms:.2f} x {reference.owner} own (accepted: largest {limits.max_multiple:g} x, RMS "
            f"{limits.rms_multiple:g} x); {_settled(parts, near)}"
        ),
        bound_line(name, variant.unbiased, reference.owner),
    ]


def _over(reference: Reference) -> str:
    splits = " and ".join(reference.splits)
    return f"a sample of {splits}" if reference.sample else splits


def _settled(parts: Sequence[Mapping[str, Any]], near: int) -> str:
    if near:
        return f"{near:,} near-tie{'s' * (near != 1)} that another machine may decide otherwise"
    # No margin is within twice the error accepted elsewhere, which is wider than the error that was found here.
    return "no flip possible, here or elsewhere" if all("repeat" in part for part in parts) else "see certificate.json"


def _pair_lines(variants: Mapping[str, VariantCertificate]) -> list[str]:
    if not {"fp32", "torchscript"} <= set(variants):
        return []
    onnx, script = variants["fp32"].outputs, variants["torchscript"].outputs
    differing = sum(int((onnx[name].argmax(axis=1) != script[name].argmax(axis=1)).sum()) for name in onnx)
    samples = sum(len(logits) for logits in onnx.values())
    agreement = "all" if differing == 0 else f"{samples - differing:,} of"
    return [f"fp32 and torchscript: {agreement} {samples:,} decisions are the same"]
