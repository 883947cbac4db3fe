"""Whether the answers of whole splits, run in batches, are those that the images get alone."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from torchstone_export.certificate.reference import SplitReference
from torchstone_export.foreign.answer_checks import BATCH_HINT, require_repeatable
from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.errors import DataError
from torchstone_runtime.text import showable

_CHOSEN: Final = 8
"""Images of a split that are run alone."""
_SHARE: Final = 1e-4
"""Of the largest logit: a difference between batches that is never taken for more than rounding."""
_MULTIPLE: Final = 9.0
"""Of the largest difference between the two ways of computing one image alone, which is rounding and nothing else."""

Answer = Callable[[Uint8Array], Float64Array]
"""Gives logits, float64 (N, K), of uint8 images (N, C, H, W)."""


def require_same_alone(parts: Mapping[str, SplitReference], usual: Answer, exact: Answer, batch_hint: str = "") -> None:
    """Check that what lies between the two runs of a reference is rounding, and not what the batches held.

    A reference whose one run is in batches and whose other is of single images would take the influence of the batch
    for noise, and then accept as much of it from every file. The images for which the runs differ most are run again.

    Args:
        parts: the two runs by split.
        usual: function that gave `logits` of the parts.
        exact: function that gave `exact` of the parts.
        batch_hint: sentence on the part of the model that may look at the whole batch, where it is known; else empty.

    Raises:
        DataError: the answers depend on the images of the batch, or are others in each call.
    """
    for name, part in parts.items():
        if not np.isfinite(part.logits + part.exact).all():
            continue  # of which `Reference.require_finite` tells
        chosen = np.argsort(np.abs(part.logits - part.exact).max(axis=1))[::-1][:_CHOSEN]
        images = [image[np.newaxis] for image in _pixels(part, chosen)]
        alone, again, other = (_run(answer, images) for answer in (usual, usual, exact))
        require_repeatable(alone, again)
        largest, rounding = float(np.abs(part.exact).max()), float(np.abs(alone - other).max())
        differences = np.abs(alone - part.logits[chosen]).max(axis=1)
        worst = int(differences.argmax())
        if not float(differences[worst]) <= max(_SHARE * largest, _MULTIPLE * rounding):
            raise DataError(
                f"The model's answer for an image depends on the images that are in the same batch: the logits of "
                f"{showable(part.split.ids[chosen[worst]])} ({name}) differ by {differences[worst]:.3g} between alone "
                f"and in a batch; the largest of all logits is {largest:.3g}.",
                batch_hint or BATCH_HINT,
            )


def _pixels(part: SplitReference, chosen: "np.ndarray[Any, Any]") -> Uint8Array:
    return np.ascontiguousarray(next(part.split.select(chosen, part.split.name).batches(len(chosen))))


def _run(answer: Answer, images: list[Uint8Array]) -> Float64Array:
    return np.concatenate([answer(image) for image in images])
