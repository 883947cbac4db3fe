"""Decoding many files where some may not be images."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from torchstone_runtime.classifier import DECODE_BATCH
from torchstone_runtime.cpu import usable_cpus
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images import Uint8Array, decode_image
from torchstone_runtime.input_spec import InputSpec


def decode_in_batches(
    paths: Iterable[Path], spec: InputSpec
) -> Iterator[tuple[list[Path], Uint8Array, dict[Path, ImageError]]]:
    """Decode files, `DECODE_BATCH` at a time and several at once.

    Yields:
        The paths of a batch; the pixels of those that are images, uint8 (n, C, H, W), in the paths' order; and the
        error of each that is not.
    """

    def decode(path: Path) -> Uint8Array | ImageError:
        try:
            return decode_image(path, spec)
        except ImageError as error:
            return error

    remaining = iter(paths)
    with ThreadPoolExecutor(usable_cpus()) as pool:
        while batch := list(islice(remaining, DECODE_BATCH)):
            results = list(pool.map(decode, batch))
            errors = {path: item for path, item in zip(batch, results, strict=True) if isinstance(item, ImageError)}
            pixels = [item for item in results if not isinstance(item, ImageError)]
            yield batch, np.stack(pixels) if pixels else np.empty((0, *spec.shape), np.uint8), errors
