"""The certificate: evidence, over whole splits, that an exported file decides as the PyTorch model does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from torchstone_export.reference import Float64Array, Reference, SplitReference
from torchstone_runtime.data.split import READ_BATCH
from torchstone_runtime.engine import CPU_TILE, Float32Array, Outputs
from torchstone_runtime.evaluation import decisions_sha256
from torchstone_runtime.images import Uint8Array
from torchstone_runtime.metrics import confusion_matrix, metrics_from_confusion

ACCEPTED_MULTIPLE: Final = 16.0
"""Largest accepted logit error, as a multiple of PyTorch float32's own. Provisional: honest exports measured at most
about 2.4 (docs/design.md)."""
BATCH_SIZES: Final = (1, 2, 7, 64)
_BATCH_SAMPLES: Final = 150
"""Samples run at every batch size: no multiple of 64 or 7, so that the last batch is ragged."""
_PROBABILITY_TOLERANCE: Final = 1e-5
_FLOAT32_EPSILON: Final = float(np.finfo(np.float32).eps)
_FLIPS_LISTED: Final = 100

Runner = Callable[[Uint8Array, int], Outputs]
"""Runs a variant over images with at most the given number an underlying call."""


@dataclass(slots=True)
class VariantCertificate:
    """What was checked of one variant.

    Attributes:
        splits: figures by split.
        batch_sizes: largest logit difference against the reference, by batch size.
        failures: what is wrong, with the numbers; empty where everything is right.
    """

    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    batch_sizes: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the variant's part of `certificate.json`."""
        return {
            "passed": not self.failures,
            "failures": self.failures,
            "batch_sizes": self.batch_sizes,
            "splits": self.splits,
        }


def certify_variant(reference: Reference, run: Runner) -> VariantCertificate:
    """Compare a variant with the PyTorch model over every sample of every split, and at several batch sizes.

    Args:
        reference: the PyTorch model's outputs.
        run: the variant, as it will be used.
    """
    certificate = VariantCertificate()
    tolerance = ACCEPTED_MULTIPLE * reference.noise_floor
    for name, part in reference.splits.items():
        try:
            logits, probabilities = _run_split(part, run)
        except Exception as error:  # noqa: BLE001 - whatever stops a variant from running is the finding
            certificate.failures.append(f"{name}: it cannot be run: {_first_line(error)}")
            continue
        certificate.splits[name] = _check_split(name, part, logits, probabilities, reference, certificate.failures)
    largest = reference.splits[max(reference.splits, key=lambda name: len(reference.splits[name].split))]
    for size in BATCH_SIZES:
        _check_batch_size(size, largest, run, tolerance, certificate)
    return certificate


def certificate_json(reference: Reference, variants: dict[str, VariantCertificate]) -> dict[str, Any]:
    """Return the content of `certificate.json`."""
    return {
        "format": "torchstone-certificate",
        "format_version": 1,
        "passed": all(not variant.failures for variant in variants.values()),
        "reference": reference.origin,
        "noise_floor": reference.noise_floor,
        "accepted_multiple": ACCEPTED_MULTIPLE,
        "pytorch": {
            name: {
                "samples": len(part.split),
                "fingerprint": part.split.fingerprint,
                "correct": int((part.decisions == part.split.labels).sum()),
                "accuracy": float((part.decisions == part.split.labels).mean()),
                "decisions_sha256": decisions_sha256(part.decisions),
            }
            for name, part in reference.splits.items()
        },
        "variants": {name: variant.to_json() for name, variant in variants.items()},
    }


def summarize(reference: Reference, variants: dict[str, VariantCertificate]) -> list[str]:
    """Return one line a variant for people."""
    lines = []
    for name, variant in variants.items():
        if variant.failures:
            lines.append(f"{name}: FAILED: {'; '.join(variant.failures)}")
            continue
        samples = sum(part["samples"] for part in variant.splits.values())
        flips = sum(part["flips"] for part in variant.splits.values())
        multiple = max(part["error_multiple"] for part in variant.splits.values())
        agreement = "all" if flips == 0 else f"{samples - flips:,} of"
        lines.append(
            f"{name}: {agreement} {samples:,} decisions are {reference.owner} "
            f"({' and '.join(reference.splits)}); largest error {multiple:.2f} x {reference.owner} own"
        )
    return [*lines, f"reference: {reference.caveat}"] if reference.caveat else lines


def margins(logits: Float32Array | Float64Array) -> Float64Array:
    """Return the difference of the two largest logits of each row, float64 [N]."""
    top = np.partition(logits.astype(np.float64), -2, axis=1)[:, -2:]
    difference: Float64Array = top[:, 1] - top[:, 0]
    return difference


def _run_split(part: SplitReference, run: Runner) -> Outputs:
    outputs = [run(np.ascontiguousarray(images), CPU_TILE) for images in part.split.batches(16 * READ_BATCH)]
    return np.concatenate([logits for logits, _ in outputs]), np.concatenate([rows for _, rows in outputs])


def _check_split(
    name: str,
    part: SplitReference,
    logits: Float32Array,
    probabilities: Float32Array,
    reference: Reference,
    failures: list[str],
) -> dict[str, Any]:
    problem = _shape_problem(part, logits, probabilities)
    if problem:
        failures.append(f"{name}: {problem}")
        return {"samples": len(part.split)}
    floor = reference.noise_floor
    error = float(np.abs(logits - part.exact).max())
    if not error <= ACCEPTED_MULTIPLE * floor:
        failures.append(
            f"{name}: the largest logit error is {error:.3g}, {error / floor:,.1f} times {reference.owner} own "
            f"{floor:.3g}; accepted are {ACCEPTED_MULTIPLE:g} times"
        )
    failures += [
        f"{name}: {problem}" for problem in _probability_problems(logits, probabilities, reference.temperature)
    ]
    flips = _flips(part, logits)
    real = [flip for flip in flips if not flip["within_noise"]]
    if real:
        failures.append(
            f"{name}: {len(real):,} of {len(logits):,} decisions differ from {reference.owner}, {_examples(real)}"
        )
    return _figures(part, logits, floor, error, flips)


def _figures(
    part: SplitReference, logits: Float32Array, floor: float, error: float, flips: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    decisions = logits.argmax(axis=1)
    smallest = float(margins(part.exact).min())
    confusion = confusion_matrix(part.split.labels, decisions, logits.shape[1])
    return {
        "samples": len(logits),
        "fingerprint": part.split.fingerprint,
        "correct": int((decisions == part.split.labels).sum()),
        "accuracy": float((decisions == part.split.labels).mean()),
        "decisions_sha256": decisions_sha256(decisions),
        "max_error": error,
        "error_multiple": error / floor,
        "smallest_margin": smallest,
        "no_flip_possible": error < smallest / 2,
        "flips": len(flips),
        "flipped": list(flips[:_FLIPS_LISTED]),
        "disagreement_by_class": _by_class(part, decisions),
        "metrics": metrics_from_confusion(confusion, part.split.class_names).to_json(),
    }


def _by_class(part: SplitReference, decisions: Any) -> dict[str, int]:  # noqa: ANN401 - int64 [N]
    names = part.split.class_names
    differing = part.split.labels[decisions != part.decisions]
    return {name: int((differing == index).sum()) for index, name in enumerate(names)}


def _flips(part: SplitReference, logits: Float32Array) -> list[dict[str, Any]]:
    decisions, names = logits.argmax(axis=1), part.split.class_names
    # Where PyTorch float32 itself is within its error of a tie, no file could be held to its choice.
    noise = margins(part.exact) <= 2 * part.error
    pytorch_margins, variant_margins = margins(part.logits), margins(logits)
    return [
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


def _examples(flips: Sequence[dict[str, Any]]) -> str:
    shown = [f"{flip['id']} ({flip['pytorch']} became {flip['variant']})" for flip in flips[:3]]
    return f"such as sample {', '.join(shown)}"


def _check_batch_size(
    size: int, part: SplitReference, run: Runner, tolerance: float, certificate: VariantCertificate
) -> None:
    count = min(_BATCH_SAMPLES, len(part.split))
    images = np.ascontiguousarray(next(part.split.batches(count)))
    try:
        logits, _ = run(images, size)
    except Exception as error:  # noqa: BLE001 - whatever stops a variant from running is the finding
        certificate.failures.append(f"batch size {size}: it cannot be run: {_first_line(error)}")
        return
    if logits.shape != part.exact[:count].shape:
        certificate.failures.append(f"batch size {size}: {len(images)} images gave outputs of shape {logits.shape}")
        return
    largest = float(np.abs(logits - part.exact[:count]).max())
    certificate.batch_sizes[str(size)] = largest
    if not largest <= tolerance:
        certificate.failures.append(
            f"batch size {size}: the largest logit error is {largest:.3g} (accepted {tolerance:.3g})"
        )


def _shape_problem(part: SplitReference, logits: Float32Array, probabilities: Float32Array) -> str:
    for name, array in (("logits", logits), ("probabilities", probabilities)):
        if array.shape != part.exact.shape or array.dtype != np.float32:
            return f"'{name}' is {array.dtype} of shape {array.shape}, expected float32 of {part.exact.shape}"
        if not np.isfinite(array).all():
            return f"'{name}' holds values that are not finite"
    return ""


def _probability_problems(logits: Float32Array, probabilities: Float32Array, temperature: float) -> list[str]:
    problems = []
    # The division rounds to float32, and the softmax passes on at most half of that (it is 1/2-Lipschitz).
    accepted = _PROBABILITY_TOLERANCE + _FLOAT32_EPSILON * float(np.abs(logits).max()) / temperature
    error = float(np.abs(probabilities - _softmax(logits, temperature)).max())
    if not error <= accepted:
        divided = "" if temperature == 1 else f", divided by the temperature {temperature:g}"
        problems.append(f"the probabilities are not the softmax of the logits{divided} (off by {error:.3g})")
    decided = np.take_along_axis(probabilities, logits.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    # Two logits a rounding apart may come out equal, or in float32 softmax a rounding the other way round.
    outranked = int((probabilities.max(axis=1) - decided > 4 * _FLOAT32_EPSILON).sum())
    if outranked:
        problems.append(f"in {outranked:,} samples the most probable class is not the one of the largest logit")
    return problems


def _softmax(logits: Float32Array, temperature: float) -> Float64Array:
    shifted = np.exp((logits.astype(np.float64) - logits.max(axis=1, keepdims=True)) / temperature)
    normalised: Float64Array = shifted / shifted.sum(axis=1, keepdims=True)
    return normalised


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
