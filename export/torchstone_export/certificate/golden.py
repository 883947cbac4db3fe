"""Choosing the golden samples of a bundle."""

from typing import Final

import numpy as np

from torchstone_export.certificate.error_limits import GOLDEN_MULTIPLES, limits_elsewhere
from torchstone_export.certificate.reference import Reference, SplitReference, run_module
from torchstone_export.certificate.split_figures import margins
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.bundle.golden import GoldenSamples

GOLDEN_COUNT: Final = 16


def golden_tolerance(reference: Reference) -> float:
    """Return the accepted logit error of a replay: the manifest holds one for every machine and provider."""
    return limits_elsewhere().max_multiple * reference.noise_floor


def golden_tolerances(reference: Reference) -> dict[str, float]:
    """Return the accepted logit errors on the providers whose own errors were measured."""
    return {provider: multiple * reference.noise_floor for provider, multiple in GOLDEN_MULTIPLES.items()}


def choose_golden(model: ExportableClassifier, part: SplitReference, tolerance: float) -> GoldenSamples:
    """Pick samples spread over a split whose class no error within the tolerance could change.

    Args:
        model: model whose outputs are expected.
        part: the split and its reference outputs.
        tolerance: accepted when the samples are replayed.
    """
    images = np.ascontiguousarray(part.split.store.read(safe_samples(part.exact, tolerance)))
    return GoldenSamples(images, *run_module(model, images))


def safe_samples(logits: Float32Array | Float64Array, tolerance: float) -> Int64Array:
    """Return the indices of up to `GOLDEN_COUNT` samples, spread evenly, whose class no such error could change.

    Where there is no such sample, all of them come into question.
    """
    safe = np.flatnonzero(margins(logits) > 4 * tolerance)
    candidates = safe if len(safe) else np.arange(len(logits))
    return candidates[np.linspace(0, len(candidates) - 1, min(GOLDEN_COUNT, len(candidates))).astype(np.int64)]
