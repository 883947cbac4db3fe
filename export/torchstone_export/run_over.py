"""Running something over more images than fit in one call."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar, overload

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import READ_BATCH
from torchstone_runtime.inference.engine import Outputs

LARGE_BATCH: Final = 16 * READ_BATCH
"""Images read at once for an engine that cuts them into tiles itself."""

_Float = TypeVar("_Float", np.float32, np.float64)


@overload
def run_over(batches: Iterable[Uint8Array], run: Callable[[Uint8Array], Outputs]) -> Outputs: ...
@overload
def run_over(
    batches: Iterable[Uint8Array], run: Callable[[Uint8Array], npt.NDArray[_Float]]
) -> npt.NDArray[_Float]: ...
def run_over(
    batches: Iterable[Uint8Array], run: Callable[[Uint8Array], Outputs | npt.NDArray[_Float]]
) -> Outputs | npt.NDArray[_Float]:
    """Return what a function gives for each batch of images, in one array, or in two where it gives two.

    Args:
        batches: images, at least one batch, each uint8 [n, C, H, W], as `Split.batches` and `batches_of` give them.
        run: function of one contiguous batch that returns logits [n, K], or logits and probabilities.
    """
    results = [run(np.ascontiguousarray(images)) for images in batches]
    logits = np.concatenate([result[0] if isinstance(result, tuple) else result for result in results])
    pairs = [result[1] for result in results if isinstance(result, tuple)]
    return (logits, np.concatenate(pairs)) if pairs else logits


def batches_of(images: Uint8Array, size: int) -> Iterator[Uint8Array]:
    """Walk through images in order, `size` at a time; the last batch may be smaller."""
    return (images[start : start + size] for start in range(0, len(images), size))
