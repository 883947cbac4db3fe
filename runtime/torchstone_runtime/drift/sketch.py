"""A distribution in a few numbers: some of a sample's values, and exactly how many values lie below each."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array

MOST_POINTS: Final = 512


@dataclass(frozen=True, eq=False, slots=True)
class Sketch:
    """The distribution function of a sample, known exactly at some of its values.

    Attributes:
        points: float64 [P], different values of the sample, ascending.
        below: int64 [P], number of the sample's values less than each point.
        at_most: int64 [P], number of them less than or equal to it.
        total: size of the sample.
    """

    points: Float64Array
    below: Int64Array
    at_most: Int64Array
    total: int

    @classmethod
    def of(cls, values: Float64Array, most: int = MOST_POINTS) -> Self:
        """Sketch a sample, float64 [N], N at least 1, by at most `most` of its quantiles."""
        ordered = np.sort(values)
        places = np.linspace(0, len(ordered) - 1, min(most, len(ordered))).round().astype(np.int64)
        points = np.unique(ordered[places])
        below, at_most = (np.searchsorted(ordered, points, side) for side in ("left", "right"))
        return cls(points, below.astype(np.int64), at_most.astype(np.int64), len(ordered))

    def cells(self, values: Float64Array) -> Int64Array:
        """Return for each value, float64 [N], its cell, int64 [N]: 2 i + 1 on point i, 2 i between the ones around."""
        left, right = np.searchsorted(self.points, values, "left"), np.searchsorted(self.points, values, "right")
        return (left + right).astype(np.int64)

    @property
    def cell_count(self) -> int:
        """Number of cells, on the points and between them."""
        return 2 * len(self.points) + 1

    def distance(self, counts: Int64Array) -> tuple[float, bool]:
        """Return the largest difference of the two distribution functions at the points and just below them.

        Between the points it may be larger: this one is never too large.

        Args:
            counts: int64 [2 P + 1], number of another sample's values by cell; at least one value.

        Returns:
            The difference, 0 to 1, and whether the other sample's values are the higher ones there.
        """
        summed = np.cumsum(counts)
        below = summed[0:-1:2] / summed[-1] - self.below / self.total
        at_most = summed[1::2] / summed[-1] - self.at_most / self.total
        both = np.concatenate([below, at_most])
        furthest = int(np.abs(both).argmax())
        return float(abs(both[furthest])), bool(both[furthest] < 0)
