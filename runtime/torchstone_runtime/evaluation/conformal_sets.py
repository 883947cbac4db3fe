"""How often sets of classes hold the right one on labelled images, and how large they are: overall and by class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchstone_runtime.arrays import Int64Array
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.binomial import Interval, share_interval
from torchstone_runtime.metrics.conformal import ConformalCalibration, coverage_range


@dataclass(frozen=True, slots=True)
class ClassSets:
    """The sets of the images of one class.

    Attributes:
        name: the class.
        images: images of it; covered: those whose set has it.
        classes: classes in all their sets together.
    """

    name: str
    images: int
    covered: int
    classes: int

    @property
    def coverage(self) -> float | None:
        """Share of the images whose set has the class, 0 to 1; None without images."""
        return self.covered / self.images if self.images else None

    @property
    def mean_size(self) -> float | None:
        """Mean number of classes in a set; None without images."""
        return self.classes / self.images if self.images else None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        figures = {"images": self.images, "covered": self.covered}
        return {"class": self.name, **figures, "coverage": self.coverage, "mean_size": self.mean_size}


@dataclass(frozen=True, eq=False, slots=True)
class SetFigures:
    """The sets of all images.

    Attributes:
        asked: coverage that was asked for.
        by_class: whether for each class alone.
        calibration_images: images that the sets were calibrated on.
        sizes: number of images by the number of classes in their set.
        classes: figures of each class.
    """

    asked: float
    by_class: bool
    calibration_images: int
    sizes: Mapping[int, int]
    classes: Sequence[ClassSets]

    @property
    def images(self) -> int:
        """Number of images."""
        return sum(item.images for item in self.classes)

    @property
    def covered(self) -> int:
        """Number of images whose set has the right class."""
        return sum(item.covered for item in self.classes)

    @property
    def coverage(self) -> float:
        """Share of the images whose set has the right class, 0 to 1."""
        return self.covered / self.images

    @property
    def interval(self) -> Interval:
        """95% Clopper-Pearson interval of the coverage with this very calibration."""
        return share_interval(self.covered, self.images)

    @property
    def expected(self) -> Interval | None:
        """Range in which theory has the coverage of so many images, in 95% of calibrations; see `coverage_range`.

        It is that of one threshold for all images; None where each class has its own.
        """
        return None if self.by_class else coverage_range(self.asked, self.calibration_images, self.images)

    @property
    def mean_size(self) -> float:
        """Mean number of classes in a set."""
        return sum(size * count for size, count in self.sizes.items()) / self.images

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        expected = self.expected
        return {
            "asked": self.asked,
            "by_class": self.by_class,
            "calibration_images": self.calibration_images,
            "images": self.images,
            "covered": self.covered,
            "coverage": self.coverage,
            "coverage_interval_95": list(self.interval),
            "expected_range_95": None if expected is None else list(expected),
            "mean_size": self.mean_size,
            "sizes": {str(size): count for size, count in self.sizes.items()},
            "per_class": [item.to_json() for item in self.classes],
        }


class SetTally:
    """Counts sets as batches arrive.

    Args:
        calibration: calibration that the sets are made with.
        class_names: K class names.
        coverage: coverage that is asked for.
        by_class: whether for each class alone.

    Raises:
        UsageError: a coverage that cannot be promised.
    """

    def __init__(
        self, calibration: ConformalCalibration, class_names: Sequence[str], coverage: float, *, by_class: bool = False
    ) -> None:
        if by_class:
            calibration.thresholds_by_class(coverage, class_names)
        else:
            calibration.threshold(coverage)
        self._calibration = len(calibration)
        self._names = tuple(class_names)
        self._coverage = coverage
        self._by_class = by_class
        self._images, self._covered, self._classes = np.zeros((3, len(class_names)), np.int64)
        self._sizes = np.zeros(len(class_names) + 1, np.int64)

    def add(self, predictions: Predictions, labels: Int64Array) -> None:
        """Add images with their right classes, int64 [n]; an image without an answer has an empty set."""
        inside = predictions.members(self._coverage, by_class=self._by_class)
        sizes, count = inside.sum(axis=1), len(self._names)
        self._images += np.bincount(labels, minlength=count)
        self._covered += np.bincount(labels[inside[np.arange(len(labels)), labels]], minlength=count)
        self._classes += np.bincount(labels, weights=sizes, minlength=count).astype(np.int64)
        self._sizes += np.bincount(sizes, minlength=count + 1)

    def figures(self) -> SetFigures | None:
        """Return what was counted; None without images."""
        if not self._images.sum():
            return None
        columns = (column.tolist() for column in (self._images, self._covered, self._classes))
        classes = [ClassSets(*row) for row in zip(self._names, *columns, strict=True)]
        sizes = {size: int(self._sizes[size]) for size in np.flatnonzero(self._sizes).tolist()}
        return SetFigures(self._coverage, self._by_class, self._calibration, sizes, classes)
