"""The fingerprint of a split and a digest of each image, of one walk through the pixels."""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Int64Array, Uint8Array

_IMAGE_DIGEST_BYTES = 8


class SplitDigest:
    """Takes a split's images batch by batch.

    Args:
        shape: N, C, H and W of all images.
        each: whether a digest of each image is made as well.
    """

    def __init__(self, shape: Sequence[int], *, each: bool) -> None:
        self._wanted = each
        self._whole = hashlib.sha256(b"torchstone-split-1")
        self._whole.update(np.array(shape, dtype="<i8").tobytes())
        self._each = bytearray()

    def update(self, batch: Uint8Array) -> None:
        """Take the next images, uint8 [n, C, H, W]."""
        images = np.ascontiguousarray(batch)
        self._whole.update(images.data)
        for image in images if self._wanted else ():
            self._each += hashlib.blake2b(image.data, digest_size=_IMAGE_DIGEST_BYTES).digest()

    def fingerprint(self, labels: Int64Array) -> str:
        """Return what `Split.fingerprint` is, once all images were taken."""
        self._whole.update(labels.astype("<i8").tobytes())
        return self._whole.hexdigest()

    @property
    def images(self) -> npt.NDArray[np.uint64]:
        """BLAKE2b of the pixels of each image taken, its first 8 bytes, uint64 [N]."""
        return np.frombuffer(bytes(self._each), dtype=np.uint64)
