"""The folds of a cross-validation: which training images are held out in each."""

import warnings
from dataclasses import dataclass

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.components import require_component
from torchstone_runtime.errors import UsageError


@dataclass(frozen=True, slots=True)
class Fold:
    """One part of a cross-validation.

    Attributes:
        number: number of the fold, from 1.
        count: number of folds.
    """

    number: int
    count: int

    def to_json(self) -> dict[str, int]:
        """Return what `run.json` records."""
        return {"number": self.number, "of": self.count}


def divide_fold(labels: Int64Array, fold: Fold, seed: int) -> tuple[Int64Array, Int64Array]:
    """Return the indices of the other folds and those of a fold, both ascending.

    The folds are scikit-learn's `StratifiedKFold`, shuffled: each holds out its share of every class, and each image
    is held out once.

    Args:
        labels: labels of all training images, int64 [N].
        fold: number of folds and the one that is held out.
        seed: seed of the shuffle, 0 to 2**32 - 1.

    Raises:
        UsageError: no class has as many images as there are folds.
        MissingComponentError: scikit-learn is not installed.
    """
    require_component("train", "sklearn")
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415 - the extra export lacks it, and needs no folds

    largest = int(np.bincount(labels).max())
    if fold.count > largest:
        raise UsageError(
            f"--folds is {fold.count}, and the largest class has {largest} training images.",
            f"Give {largest} folds or fewer." if largest > 1 else "Add images.",
        )
    folds = StratifiedKFold(fold.count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Said in our own words beforehand: a class with fewer images than folds is missing from some of them.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        kept, held_out = list(folds.split(np.zeros(len(labels)), labels))[fold.number - 1]
    return np.sort(kept).astype(np.int64), np.sort(held_out).astype(np.int64)
