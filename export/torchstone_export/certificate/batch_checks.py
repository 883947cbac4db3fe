"""Whether an image's outputs depend on how many others, which others, and at which place it is run with."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from torchstone_export.certificate.reference import SplitReference
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import first_line
from torchstone_runtime.inference.engine import Outputs

BATCH_SIZES: Final = (1, 2, 7, 64)
_SAMPLES: Final = 150
"""Samples run at every batch size: no multiple of 64 or 7, so that the last batch is ragged."""
_SAMPLES_LARGE: Final = 71
"""The same of large images, whose networks take as long for one as others for thousands; no multiple of 2 either."""
_LARGE: Final = 1 << 16
"""Values of an image from which it is a large one: 3 x 148 x 148."""
_COMPANIONS: Final = 7
_PLACES: Final = 64

Runner = Callable[[Uint8Array, int], Outputs]
"""Runs a variant over images with at most the given number an underlying call."""


def check_batches(part: SplitReference, run: Runner, tolerance: float) -> tuple[dict[str, Any], list[str]]:
    """Run a variant in batches of several sizes, among strange neighbours, and one image at every place.

    Args:
        part: images and exact logits.
        run: the variant.
        tolerance: largest accepted logit difference.

    Returns:
        Figures (`by_size`: largest error against exact arithmetic; `spread`: largest difference of an image's logits
        between batch sizes; `neighbours`, `places`: likewise between companions and places) and failures.
    """
    count = _samples(part.split)
    images = np.ascontiguousarray(next(part.split.batches(count)))
    failures: list[str] = []
    outputs: dict[int, Float32Array] = {}
    by_size: dict[str, float] = {}
    for size in BATCH_SIZES:
        logits = _run(images, size, run, part.exact[:count].shape, failures)
        if logits is None:
            continue
        outputs[size], by_size[str(size)] = logits, float(np.abs(logits - part.exact[:count]).max())
        if not by_size[str(size)] <= tolerance:
            failures.append(
                f"batch size {size}: the largest logit error is {by_size[str(size)]:.3g} (accepted {tolerance:.3g})"
            )
    figures: dict[str, Any] = {"by_size": by_size}
    if len(outputs) == len(BATCH_SIZES):
        alone = outputs[1]
        figures["spread"] = max(float(np.abs(other - alone).max()) for other in outputs.values())
        figures["neighbours"] = _check_neighbours(images, alone, run, tolerance, failures)
        figures["places"] = _check_places(images[0], alone[0], run, tolerance, failures)
    return figures, failures


def images_run(split: Split) -> int:
    """Return how many images `check_batches` runs where it is given a split."""
    count = _samples(split)
    return len(BATCH_SIZES) * count + min(2 * _COMPANIONS, count) * _COMPANIONS + _PLACES


def _samples(split: Split) -> int:
    return min(_SAMPLES if math.prod(split.image_shape) < _LARGE else _SAMPLES_LARGE, len(split))


def _check_neighbours(
    images: Uint8Array, alone: Float32Array, run: Runner, tolerance: float, failures: list[str]
) -> float:
    chosen = images[: 2 * _COMPANIONS]
    batches = np.concatenate([np.concatenate([image[np.newaxis], _strange(image)]) for image in chosen])
    logits, _ = run(batches, _COMPANIONS)
    difference = float(np.abs(logits[::_COMPANIONS] - alone[: len(chosen)]).max())
    if not difference <= tolerance:
        failures.append(
            f"the outputs for an image depend on the other images of its batch: among black, white and random ones "
            f"its logits change by up to {difference:.3g} (accepted {tolerance:.3g})"
        )
    return difference


def _strange(image: Uint8Array) -> Uint8Array:
    noise = np.random.RandomState(0).randint(0, 256, (_COMPANIONS - 3, *image.shape)).astype(np.uint8)
    return np.concatenate([np.zeros_like(image)[np.newaxis], np.full_like(image, 255)[np.newaxis], noise])


def _check_places(image: Uint8Array, alone: Float32Array, run: Runner, tolerance: float, failures: list[str]) -> float:
    logits, _ = run(np.repeat(image[np.newaxis], _PLACES, axis=0), _PLACES)
    differences = np.abs(logits - alone).max(axis=1)
    worst = int(differences.argmax())
    if not float(differences[worst]) <= tolerance:
        failures.append(
            f"the outputs for an image depend on its place in the batch: at place {worst} of {_PLACES} its logits "
            f"change by {differences[worst]:.3g} (accepted {tolerance:.3g})"
        )
    return float(differences[worst])


def _run(
    images: Uint8Array, size: int, run: Runner, shape: tuple[int, ...], failures: list[str]
) -> Float32Array | None:
    try:
        logits, _ = run(images, size)
    except Exception as error:  # noqa: BLE001 - whatever stops a variant from running is the finding
        failures.append(f"batch size {size}: it cannot be run: {first_line(error)}")
        return None
    if logits.shape != shape:
        failures.append(f"batch size {size}: {len(images)} images gave outputs of shape {logits.shape}")
        return None
    return logits
