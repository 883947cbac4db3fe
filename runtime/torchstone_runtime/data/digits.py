"""The embedded default dataset: 1,797 real handwritten digits, 8 x 8, shown as 28 x 28.

`digits.npz` holds the arrays of scikit-learn's `load_digits` (the test part of "Optical Recognition of Handwritten
Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0): values 0 to 16. It is embedded so
that a machine with the runtime alone can evaluate a quickstart's bundle; a test compares it with scikit-learn's.
"""

from importlib import resources
from typing import Final

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.split import ArrayStore, Split

CLASS_NAMES: Final = tuple("0123456789")
SIDE: Final = 28
_FULL_SCALE: Final = 16
"""Largest value of the original files: the number of set pixels in a 4 x 4 block."""


def load_digits() -> Split:
    """Return all 1,797 digits as one split, uint8 (1, 28, 28), enlarged bilinearly."""
    with resources.files(__package__).joinpath("digits.npz").open("rb") as file, np.load(file) as arrays:
        small, labels = arrays["images"], arrays["labels"]
    full_range = np.round(small * (255 / _FULL_SCALE)).astype(np.uint8)
    images = _enlarged(full_range)
    ids = [str(index) for index in range(len(labels))]
    return Split("whole", ArrayStore(images[:, None]), labels.astype(np.int64), CLASS_NAMES, ids)


def _enlarged(images: Uint8Array) -> Uint8Array:
    """Return images (N, 28, 28) of images (N, 8, 8): first along their rows, then along their columns, as Pillow does.

    All of them are one tall picture each time, whose rows don't mix: resized one by one they would take a hundred times
    as long.
    """
    wide = _rows_resized(images)
    return np.ascontiguousarray(_rows_resized(wide.transpose(0, 2, 1)).transpose(0, 2, 1))


def _rows_resized(images: Uint8Array) -> Uint8Array:
    count, height, width = images.shape
    tall = Image.fromarray(np.ascontiguousarray(images).reshape(count * height, width))
    resized = tall.resize((SIDE, tall.height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(count, height, SIDE)
