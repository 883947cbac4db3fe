"""The certificate: evidence, over whole splits, that an exported file decides as the PyTorch model does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from torchstone_export.certificate.batch_checks import Runner, check_batches, images_run
from torchstone_export.certificate.error_limits import EXPORT_LIMITS, Limits, elsewhere_json
from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_export.certificate.split_figures import (
    examples,
    pairwise_agreement,
    repeat_record,
    split_figures,
    unseen_flips,
)
from torchstone_export.run_over import LARGE_BATCH, run_over_split
from torchstone_runtime.arrays import Float32Array, Float64Array, Uint8Array
from torchstone_runtime.data.certified_sample import KEY
from torchstone_runtime.errors import first_line
from torchstone_runtime.evaluation.evaluate import decisions_sha256
from torchstone_runtime.inference.engine import CPU_MICRO_BATCH, Outputs
from torchstone_runtime.progress import stage

_PROBABILITY_TOLERANCE: Final = 1e-5
_IDS_SHOWN: Final = 3
_FLOAT32_EPSILON: Final = float(np.finfo(np.float32).eps)


@dataclass(slots=True)
class VariantCertificate:
    """What was checked of one variant.

    Attributes:
        splits: figures by split.
        batches: dependence of an image's outputs on its batch, see `check_batches`.
        failures: sentences on what is wrong, with the numbers; empty where everything is right.
        outputs: the logits by split, for comparison with other variants; not part of the file.
        chosen_by: names of splits that the variant was chosen by among others: its flips there say nothing of images
            that were not run.
    """

    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    batches: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    outputs: dict[str, Float32Array] = field(default_factory=dict, repr=False)
    chosen_by: tuple[str, ...] = ()

    @property
    def unbiased(self) -> dict[str, dict[str, Any]]:
        """The figures of the splits that the variant was not chosen by."""
        return {name: figures for name, figures in self.splits.items() if name not in self.chosen_by}

    def to_json(self) -> dict[str, Any]:
        """Return the variant's part of `certificate.json`."""
        others = {key: value for key, value in self.batches.items() if key != "by_size"}
        return {
            "passed": not self.failures,
            "failures": self.failures,
            "batch_sizes": self.batches.get("by_size", {}),
            "batches": others,
            "splits": self.splits,
            **({"unseen_flips": unseen_flips(self.unbiased)} if self.splits else {}),
        }


def certify_variant(
    reference: Reference, run: Runner, limits: Limits | None = None, *, variant: str = "the variant"
) -> VariantCertificate:
    """Compare a variant with the PyTorch model over every sample of every split, and in batches of several kinds.

    Args:
        reference: the PyTorch model's outputs.
        run: the variant, as it will be used.
        limits: largest differences that are accepted; those for exact variants if None.
        variant: name of the variant, for those who watch.
    """
    limits = limits or EXPORT_LIMITS
    certificate = VariantCertificate()
    for name, part in reference.splits.items():
        try:
            logits, probabilities = run_over_split(
                part.split, LARGE_BATCH, lambda images: run(images, CPU_MICRO_BATCH), f"certifying {variant}"
            )
        except Exception as error:  # noqa: BLE001 - whatever stops a variant from running is the finding
            certificate.failures.append(f"{name}: it cannot be run: {first_line(error)}")
            continue
        problem = _shape_problem(part, logits, probabilities)
        if problem:
            certificate.failures.append(f"{name}: {problem}")
            certificate.splits[name] = {"samples": len(part.split)}
            continue
        figures = split_figures(part, logits, reference)
        certificate.failures += find_failures(name, part, figures, reference, limits)
        problems = _probability_problems(logits, probabilities, reference.temperature)
        certificate.failures += [f"{name}: {problem}" for problem in problems]
        certificate.splits[name] = figures | {"repeat": repeat_record(part, reference)}
        certificate.outputs[name] = logits
    largest = max(reference.splits.values(), key=lambda part: len(part.split))
    with stage(f"{variant} in other batches", images_run(largest.split)) as done:

        def counted(images: Uint8Array, size: int) -> Outputs:
            outputs = run(images, size)
            done(len(images))
            return outputs

        certificate.batches, failures = check_batches(largest, counted, limits.max_multiple * reference.noise_floor)
    certificate.failures += failures
    return certificate


def find_failures(
    name: str, part: SplitReference, figures: Mapping[str, Any], reference: Reference, limits: Limits
) -> list[str]:
    """Return what the figures of a split (see `split_figures`) say against an exact variant."""
    failures = []
    if not figures["error_multiple"] <= limits.max_multiple:
        failures.append(
            f"{name}: the largest logit error is {figures['max_error']:.3g}, {figures['error_multiple']:,.1f} times "
            f"{reference.owner} own {reference.noise_floor:.3g}; the limit is {limits.max_multiple:g} times"
        )
    if not figures["rms_multiple"] <= limits.rms_multiple:
        failures.append(
            f"{name}: the logit errors have a root mean square of {figures['rms_error']:.3g}, "
            f"{figures['rms_multiple']:,.1f} times {reference.owner} own {reference.rms_floor(part):.3g}; the limit is "
            f"{limits.rms_multiple:g} times"
        )
    if figures["flips_beyond_noise"]:
        failures.append(
            f"{name}: {figures['flips_beyond_noise']:,} of {figures['samples']:,} decisions differ from "
            f"{reference.owner}, {examples(figures['flipped'])}"
        )
    return failures


def certificate_json(reference: Reference, variants: Mapping[str, VariantCertificate]) -> dict[str, Any]:
    """Return the content of `certificate.json`."""
    return {
        "format": "torchstone-certificate",
        "format_version": 1,
        "passed": all(not variant.failures for variant in variants.values()),
        "reference": reference.origin,
        **({KEY: dict(reference.sample)} if reference.sample else {}),
        "noise_floor": reference.noise_floor,
        "longest_sum": reference.longest_sum,
        "accepted_multiple": EXPORT_LIMITS.max_multiple,
        "accepted_rms_multiple": EXPORT_LIMITS.rms_multiple,
        "accepted_elsewhere": elsewhere_json(),
        "pytorch": {name: _pytorch_part(part, reference) for name, part in reference.splits.items()},
        "agreement": {name: _agreement(name, part, variants) for name, part in reference.splits.items()},
        "variants": {name: variant.to_json() for name, variant in variants.items()},
    }


def _pytorch_part(part: SplitReference, reference: Reference) -> dict[str, Any]:
    return {
        "samples": len(part.split),
        "fingerprint": part.split.fingerprint,
        "correct": int((part.decisions == part.split.labels).sum()),
        "accuracy": float((part.decisions == part.split.labels).mean()),
        "decisions_sha256": decisions_sha256(part.decisions),
        "max_error": part.error,
        "max_error_in_a_row": part.noise,
        "rms_floor": reference.rms_floor(part),
    }


def _agreement(name: str, part: SplitReference, variants: Mapping[str, VariantCertificate]) -> list[dict[str, Any]]:
    computed = {variant: item.outputs[name] for variant, item in variants.items() if name in item.outputs}
    return pairwise_agreement({"pytorch": part.logits, **computed})


def _shape_problem(part: SplitReference, logits: Float32Array, probabilities: Float32Array) -> str:
    for name, array in (("logits", logits), ("probabilities", probabilities)):
        if array.shape != part.exact.shape or array.dtype != np.float32:
            return f"'{name}' is {array.dtype} of shape {array.shape}, expected float32 of {part.exact.shape}"
        if len(lost := np.flatnonzero(~np.isfinite(array).all(axis=1))):
            ids = ", ".join(part.split.ids[index] for index in lost[:_IDS_SHOWN].tolist())
            return f"'{name}' holds values that are not finite, for {len(lost):,} of {len(array):,} images: {ids}"
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
    # Divided in float32 first, as the graph does: of very large logits the rounding of that division is seen.
    scaled = (logits if temperature == 1 else logits / np.float32(temperature)).astype(np.float64)
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    normalised: Float64Array = shifted / shifted.sum(axis=1, keepdims=True)
    return normalised
