"""Choosing the golden samples of a bundle."""

from typing import Final

import numpy as np

from torchstone_export.certificate.limits import limits_elsewhere
from torchstone_export.certificate.reference import Reference, SplitReference, run_module
from torchstone_export.certificate.split_figures import margins
from torchstone_export.model import ExportableClassifier
from torchstone_runtime.bundle.golden import GoldenSamples

GOLDEN_COUNT: Final = 16


def golden_tolerance(reference: Reference) -> float:
    """Return the accepted logit error of a replay: the manifest holds one for every machine and provider."""
    return limits_elsewhere().max_multiple * reference.noise_floor


def choose_golden(model: ExportableClassifier, part: SplitReference, tolerance: float) -> GoldenSamples:
    """Pick samples spread over a split whose class no error within the tolerance could change.

    Args:
        model: model whose outputs are expected.
        part: the split and its reference outputs.
        tolerance: accepted when the samples are replayed.
    """
    safe = np.flatnonzero(margins(part.exact) > 4 * tolerance)
    candidates = safe if len(safe) else np.arange(len(part.split))
    chosen = candidates[np.linspace(0, len(candidates) - 1, min(GOLDEN_COUNT, len(candidates))).astype(np.int64)]
    images = np.ascontiguousarray(part.split.store.read(chosen))
    return GoldenSamples(images, *run_module(model, images))
