"""A certificate in a few lines for people: on the terminal, in `inspect` and in the model card."""

from collections.abc import Mapping

from torchstone_export.certify import VariantCertificate
from torchstone_export.limits import EXPORT_LIMITS
from torchstone_export.reference import Reference


def summarize(reference: Reference, variants: Mapping[str, VariantCertificate]) -> list[str]:
    """Return a line a variant, and one on how they agree with each other."""
    lines = [_variant_line(name, variant, reference) for name, variant in variants.items()]
    if len(variants) > 1 and not any(variant.failures for variant in variants.values()):
        lines += _pair_lines(variants)
    return lines


def _variant_line(name: str, variant: VariantCertificate, reference: Reference) -> str:
    if variant.failures:
        return f"{name}: FAILED: {'; '.join(variant.failures)}"
    limits = EXPORT_LIMITS[reference.kind]
    parts = list(variant.splits.values())
    samples, flips = sum(part["samples"] for part in parts), sum(part["flips"] for part in parts)
    multiple, rms = max(part["error_multiple"] for part in parts), max(part["rms_multiple"] for part in parts)
    agreement = "all" if flips == 0 else f"{samples - flips:,} of"
    possible = "no flip possible" if all(part["no_flip_possible"] for part in parts) else ""
    near = sum(len(part["repeat"]["near_ties"]) for part in parts if "repeat" in part)
    ties = f"{near:,} near-tie{'s' * (near != 1)} listed" if near else ""
    notes = "".join(f"; {note}" for note in (possible, ties) if note)
    return (
        f"{name}: {agreement} {samples:,} decisions are PyTorch's ({' and '.join(reference.splits)}); "
        f"largest error {multiple:.2f} x PyTorch's own (accepted {limits.max_multiple:g}), "
        f"RMS {rms:.2f} x (accepted {limits.rms_multiple:g}){notes}"
    )


def _pair_lines(variants: Mapping[str, VariantCertificate]) -> list[str]:
    if not {"fp32", "torchscript"} <= set(variants):
        return []
    onnx, script = variants["fp32"].outputs, variants["torchscript"].outputs
    differing = sum(int((onnx[name].argmax(axis=1) != script[name].argmax(axis=1)).sum()) for name in onnx)
    samples = sum(len(logits) for logits in onnx.values())
    agreement = "all" if differing == 0 else f"{samples - differing:,} of"
    return [f"fp32 and torchscript: {agreement} {samples:,} decisions are the same"]
