"""Pictures decoded on all processors, into one array."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.system.cpu import usable_cpus


def decoded_side_by_side(
    decode: Callable[[int], Uint8Array], indices: Int64Array, shape: tuple[int, int, int]
) -> Uint8Array:
    """Return the pictures at `indices`, in that order, as uint8 of shape (n, C, H, W).

    Args:
        decode: function from an index to the picture of shape (C, H, W).
        indices: indices of the pictures.
        shape: shape of one picture.

    Raises:
        Whatever `decode` raises for the first picture that it refuses.
    """
    images = np.empty((len(indices), *shape), dtype=np.uint8)
    with ThreadPoolExecutor(usable_cpus()) as pool:  # Pillow decodes outside the interpreter's lock
        for position, pixels in enumerate(pool.map(decode, indices.tolist())):
            images[position] = pixels
    return images
