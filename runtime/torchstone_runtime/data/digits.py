"""The embedded default dataset: 1,797 real handwritten digits, 8 x 8, shown as 28 x 28.

`digits.npz` holds the arrays of scikit-learn's `load_digits` (the test part of "Optical Recognition of Handwritten
Digits", E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0): values 0 to 16. It is embedded so
that a machine with the runtime alone can evaluate a quickstart's bundle; a test compares it with scikit-learn's.
"""

from importlib import resources
from typing import Final

import numpy as np
from PIL import Image

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
    images = np.stack([_enlarge(image) for image in full_range])
    ids = [str(index) for index in range(len(labels))]
    return Split("whole", ArrayStore(images[:, None]), labels.astype(np.int64), CLASS_NAMES, ids)


def _enlarge(
    image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
