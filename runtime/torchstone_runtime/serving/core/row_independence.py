"""Whether an image's outputs depend on the images that are computed with it.

Mathematically they never do; in floating point they may, where a library sums in another order for another number of
rows. Requests are put together only where that changes nothing, which is tried once for each loaded model.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.bundle.golden import golden_images, variant_golden
from torchstone_runtime.inference.classifier import Classifier

_SIZES: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17, 31, 32, 64)
"""Batch sizes that are tried beside the largest: kernels take rows by 4, 6, 8, 12 or 16, and the rest otherwise."""
_SEED: Final = 18


def may_merge(classifier: Classifier, max_batch: int, stopped: Callable[[], bool] = lambda: False) -> bool:
    """Return whether requests may be put together.

    On the CPU they may where images give the same bits in batches of several sizes and in other places of a batch: an
    answer is then what `Classifier.predict` gives for the request alone. Elsewhere, where a batch is padded to one of
    a few sizes, it is enough that logits differ by no more than the golden samples' tolerance, which certified
    decisions survive.

    Args:
        classifier: classifier to be tried, with golden samples of its bundle, and noise.
        max_batch: largest batch that requests would be put together to.
        stopped: whether nobody wants to know any more, asked between batches; the answer is then no.
    """
    plan = classifier.plan
    # More than this are computed in several calls, whatever they belong to.
    largest = min(max_batch, plan.micro_batch)
    tolerance = 0.0 if plan.provider == "cpu" else _tolerance(classifier)
    images = _trial_images(classifier, largest)
    whole = classifier.predict(images, unanswered="keep")
    for size in (size for size in _SIZES if size < largest):
        rows = slice((largest - size) // 2, (largest - size) // 2 + size)
        if stopped():
            return False
        part = classifier.predict(images[rows], unanswered="keep")
        if not (
            _agree(part.logits, whole.logits[rows], tolerance)
            and _agree(part.probabilities, whole.probabilities[rows], tolerance)
        ):
            return False
    return True


def _tolerance(classifier: Classifier) -> float:
    plan, bundle = classifier.plan, classifier.bundle
    if bundle is None:
        return 0.0
    return variant_golden(bundle, plan.variant, provider=plan.provider, tf32=plan.tf32)[1]


def _trial_images(classifier: Classifier, count: int) -> Uint8Array:
    images = np.random.default_rng(_SEED).integers(0, 256, (count, *classifier.input_spec.shape), dtype=np.uint8)
    if classifier.bundle is not None:
        golden = golden_images(classifier.bundle)[: (count + 1) // 2]
        images[: len(golden)] = golden
    return images


def _agree(one: Float32Array, other: Float32Array, tolerance: float) -> bool:
    if tolerance == 0.0:
        return one.tobytes() == other.tobytes()
    return bool(np.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=True))
