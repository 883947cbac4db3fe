"""Running something over more images than fit in one call."""

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar, overload

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import READ_BATCH, Split
from torchstone_runtime.inference.engine import Outputs
from torchstone_runtime.progress import stage

LARGE_BATCH: Final = 16 * READ_BATCH
"""Images read at once for an engine that cuts them into tiles itself."""
_MOST_VALUES: Final = 16 << 20
"""Of the images of a batch that an engine cuts into tiles: some hundred photographs."""

_Float = TypeVar("_Float", np.float32, np.float64)


@overload
def run_over(
    batches: Iterable[Uint8Array], run: Callable[[Uint8Array], Outputs], done: Callable[[int], None] = ...
) -> Outputs: ...
@overload
def run_over(
    batches: Iterable[Uint8Array],
    run: Callable[[Uint8Array], npt.NDArray[_Float]],
    done: Callable[[int], None] = ...,
) -> npt.NDArray[_Float]: ...
def run_over(
    batches: Iterable[Uint8Array],
    run: Callable[[Uint8Array], Outputs | npt.NDArray[_Float]],
    done: Callable[[int], None] = lambda _: None,
) -> Outputs | npt.NDArray[_Float]:
    """Return what a function gives for each batch of images, in one array, or in two where it gives two.

    Args:
        batches: images, at least one batch, each uint8 [n, C, H, W], as `Split.batches` and `batches_of` give them.
        run: function of one contiguous batch that returns logits [n, K], or logits and probabilities.
        done: function that is called with the number of images of each batch that was run.
    """
    results = []
    for images in batches:
        results.append(run(np.ascontiguousarray(images)))
        done(len(images))
    logits = np.concatenate([result[0] if isinstance(result, tuple) else result for result in results])
    pairs = [result[1] for result in results if isinstance(result, tuple)]
    return (logits, np.concatenate(pairs)) if pairs else logits


@overload
def run_over_split(
    split: Split, size: int, run: Callable[[Uint8Array], Outputs], task: str, *, most: int = ...
) -> Outputs: ...
@overload
def run_over_split(
    split: Split, size: int, run: Callable[[Uint8Array], npt.NDArray[_Float]], task: str, *, most: int = ...
) -> npt.NDArray[_Float]: ...
def run_over_split(
    split: Split,
    size: int,
    run: Callable[[Uint8Array], Any],
    task: str,
    *,
    most: int = _MOST_VALUES,
) -> Outputs | npt.NDArray[_Float]:
    """Return what a function gives for every image of a split, as `run_over` does, and tell how far it has come.

    Args:
        split: labelled images.
        size: number of images in a batch, where they are small.
        run: function of one contiguous batch, as for `run_over`.
        task: words for a person that say what is run.
        most: number of values that the images of a batch have at most: fewer images where they are large.
    """
    fitting = max(1, min(size, most // math.prod(split.image_shape)))
    with stage(f"{task}, {split.name}", len(split)) as done:
        outputs: Outputs | npt.NDArray[_Float] = run_over(split.batches(fitting), run, done)
    return outputs


def batches_of(images: Uint8Array, size: int) -> Iterator[Uint8Array]:
    """Walk through images in order, `size` at a time; the last batch may be smaller."""
    return (images[start : start + size] for start in range(0, len(images), size))
