"""Whether an image's outputs depend on the images that are computed with it.

Mathematically they never do; in floating point they do where a library sums in another order for another number of
rows. Requests are put together only where the outputs stay the same to the last bit, which is tried at loading.
"""

from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.golden import golden_images
from torchstone_runtime.inference.classifier import Classifier

_SIZES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 31, 32, 64)
"""Batch sizes that are tried, and the largest: kernels treat the rest of a division by 4, 6, 8, 12 or 16 otherwise."""
_SEED: Final = 18


def rows_are_independent(classifier: Classifier, max_batch: int) -> bool:
    """Return whether images give the same bits in batches of several sizes, and in other places of the batch.

    The images are the bundle's golden samples, and noise; at most as many as the model computes in one call.

    Args:
        classifier: classifier to be tried.
        max_batch: largest batch that requests would be put together to.
    """
    largest = min(max_batch, classifier.plan.micro_batch)
    if largest == 1:
        return True
    images = _trial_images(classifier, largest)
    whole = classifier.predict(images, unanswered="keep")
    for size in sorted({size for size in _SIZES if size < largest}):
        first = (largest - size) // 2
        part = classifier.predict(images[first : first + size], unanswered="keep")
        rows = slice(first, first + size)
        if not (_same(part.logits, whole.logits[rows]) and _same(part.probabilities, whole.probabilities[rows])):
            return False
    return True


def _trial_images(classifier: Classifier, count: int) -> Uint8Array:
    noise = np.random.default_rng(_SEED).integers(0, 256, (count, *classifier.input_spec.shape), dtype=np.uint8)
    if classifier.bundle is None:
        return noise
    golden = golden_images(classifier.bundle)[: (count + 1) // 2]
    noise[: len(golden)] = golden
    return noise


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.tobytes() == other.tobytes()
