"""The figures of one variant over one split: errors against exact arithmetic, decisions, flips, metrics."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_export.certificate.error_limits import limits_elsewhere
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.certificate.record import CertifiedSplit
from torchstone_runtime.evaluation.evaluate import decisions_sha256
from torchstone_runtime.metrics.binomial import unseen_rate
from torchstone_runtime.metrics.classification import metrics_from_labels
from torchstone_runtime.metrics.confusion import MOST_DENSE

_FLIPS_LISTED: Final = 100
CONFIDENCE: Final = 0.95
"""Of the bound on flips among images that were not run."""

AnyFloat = npt.NDArray[np.floating[Any]]


def split_figures(part: SplitReference, logits: Float32Array, reference: Reference) -> dict[str, Any]:
    """Return what `certificate.json` says about a variant over a split (keys: docs/reference/bundle-format.md).

    Args:
        part: the split with PyTorch's outputs.
        logits: the variant's, float32 [N, K], finite.
        reference: reference whose noise floors the errors are divided by.
    """
    errors = np.abs(logits - part.exact)
    error, rms = float(errors.max()), root_mean_square(logits - part.exact)
    margin = margins(part.exact)
    decisions: Int64Array = logits.argmax(axis=1)
    flips = list_flips(part, logits)
    return {
        "samples": len(logits),
        "fingerprint": part.split.fingerprint,
        "correct": int((decisions == part.split.labels).sum()),
        "accuracy": float((decisions == part.split.labels).mean()),
        "decisions_sha256": decisions_sha256(decisions),
        "max_error": error,
        "error_multiple": error / reference.noise_floor,
        "rms_error": rms,
        "rms_multiple": rms / reference.rms_floor(part),
        "smallest_margin": float(margin.min()),
        "no_flip_possible": error < float(margin.min()) / 2,
        "proven": int((errors.max(axis=1) < margin / 2).sum()),
        "flips": len(flips),
        "flips_beyond_noise": sum(not flip["within_noise"] for flip in flips),
        "flipped": flips[:_FLIPS_LISTED],
        "disagreement_by_class": _by_class(part, decisions),
        "metrics": split_metrics(part, decisions),
    }


def unseen_flips(splits: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return `unseen_flips` of `certificate.json`: what the flips over some splits say of images that were not run.

    Args:
        splits: figures by split, as `split_figures` returns them; of a split that could not be run, `samples` alone.
    """
    run = [part for part in splits.values() if "flips" in part]
    images, flips = sum(part["samples"] for part in run), sum(part["flips"] for part in run)
    rate = unseen_rate(flips, images, CONFIDENCE)
    return {"images": images, "flips": flips, "rate_at_most": rate, "confidence": CONFIDENCE}


def split_metrics(part: SplitReference, decisions: Int64Array) -> dict[str, Any]:
    """Return the metrics of decisions, int64 [N], over a split."""
    return metrics_from_labels(part.split.labels, decisions, part.split.class_names).to_json()


def repeat_record(part: SplitReference, reference: Reference) -> dict[str, Any]:
    """Return the `repeat` object: what an exact variant must give again on other machines, near-ties set apart."""
    limits = limits_elsewhere()
    record = CertifiedSplit.of(
        part.exact,
        part.split.ids,
        tolerance=limits.max_multiple * reference.noise_floor,
        rms_tolerance=limits.rms_multiple * reference.rms_floor(part),
    )
    return record.to_json(part.split.class_names)


def list_flips(part: SplitReference, logits: Float32Array) -> list[dict[str, Any]]:
    """Return the decisions that differ from PyTorch's float32: id, classes, margins, and whether noise explains it.

    Those that it doesn't explain come first.
    """
    decisions, names = logits.argmax(axis=1), part.split.class_names
    # Where float32 itself is within its error of a tie, no file could be held to PyTorch's choice.
    noise = margins(part.exact) <= 2 * part.noise
    pytorch_margins, variant_margins = margins(part.logits), margins(logits)
    flips = [
        {
            "id": part.split.ids[index],
            "true": names[part.split.labels[index]],
            "pytorch": names[part.decisions[index]],
            "variant": names[decisions[index]],
            "pytorch_margin": float(pytorch_margins[index]),
            "variant_margin": float(variant_margins[index]),
            "within_noise": bool(noise[index]),
        }
        for index in np.flatnonzero(decisions != part.decisions).tolist()
    ]
    return sorted(flips, key=lambda flip: bool(flip["within_noise"]))


def margins(logits: AnyFloat) -> Float64Array:
    """Return the difference of the two largest logits of each row, float64 [N]."""
    top = np.partition(logits.astype(np.float64), -2, axis=1)[:, -2:]
    difference: Float64Array = top[:, 1] - top[:, 0]
    return difference


def root_mean_square(values: AnyFloat) -> float:
    """Return the root of the mean of squares, computed in float64."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def pairwise_agreement(outputs: dict[str, Float32Array]) -> list[dict[str, Any]]:
    """Compare every two ways of computing the same split.

    Args:
        outputs: logits, float32 [N, K], by what computed them.

    Returns:
        For each pair `between`, `max_difference`, `rms_difference` (of the logits) and `decisions_differing`.
    """
    names = list(outputs)
    pairs = [(first, second) for index, first in enumerate(names) for second in names[index + 1 :]]
    return [_pair(first, second, outputs) for first, second in pairs]


def _pair(first: str, second: str, outputs: dict[str, Float32Array]) -> dict[str, Any]:
    one, other = outputs[first].astype(np.float64), outputs[second]
    return {
        "between": [first, second],
        "max_difference": float(np.abs(one - other).max()),
        "rms_difference": root_mean_square(one - other),
        "decisions_differing": int((one.argmax(axis=1) != other.argmax(axis=1)).sum()),
    }


def examples(flips: Sequence[dict[str, Any]]) -> str:
    """Name up to three flips."""
    shown = [f"{flip['id']} ({flip['pytorch']} became {flip['variant']})" for flip in flips[:3]]
    return f"such as sample {', '.join(shown)}"


def _by_class(part: SplitReference, decisions: Int64Array) -> dict[str, int]:
    names = part.split.class_names
    flips = np.bincount(part.split.labels[decisions != part.decisions], minlength=len(names)).tolist()
    # Of many classes only those with flips: all others would be a line of a name and a zero each.
    return {name: count for name, count in zip(names, flips, strict=True) if count or len(names) <= MOST_DENSE}
