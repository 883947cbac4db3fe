"""Stratified, seeded partitions that stay the same on every machine and NumPy version."""

from typing import Final

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.errors import DataError

TEST_FRACTION: Final = 0.2
TEST_SEED: Final = 0
"""A source without a test part of its own always holds out the same fifth, whatever seed a training uses."""


def stratified_holdout(
    labels: Int64Array, fraction: float, seed: int, class_names: tuple[str, ...]
) -> tuple[Int64Array, Int64Array]:
    """Cut samples in two, class by class.

    Args:
        labels: int64 [N].
        fraction: share held out, between 0 and 1. Each class gives the nearest whole number, at least 1.
        seed: seed of the shuffle, 0 to 2**32 - 1.
        class_names: names of the classes, for messages.

    Returns:
        The indices kept and the indices held out, both ascending.

    Raises:
        DataError: a class has fewer than two samples, so that one side would lack it.
    """
    # RandomState's streams are frozen for good (NumPy NEP 19); Generator's may change between versions.
    order = np.random.RandomState(seed).permutation(len(labels))
    held_out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if len(members) < 2:  # noqa: PLR2004 - one for each side
            raise DataError(
                f"Class '{class_names[label]}' has too few images to be split ({len(members)} left to divide).",
                "Give every class at least three images, or separate train/ and test/ folders.",
            )
        count = min(max(1, round(len(members) * fraction)), len(members) - 1)
        held_out[members[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
