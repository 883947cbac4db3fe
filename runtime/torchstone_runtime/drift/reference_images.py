"""The images that a model was measured on, as distributions that others are compared with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.drift.features import CONFIDENCE, IMAGE_FEATURES
from torchstone_runtime.drift.sketch import Sketch

DEFAULT_WINDOW: Final = 1000
"""Number of the latest images that are compared, where nothing is said."""
FEATURES = (*IMAGE_FEATURES, CONFIDENCE)
"""Every number that is compared, in the order of `DriftReference.cells`; the chosen classes come beside."""


@dataclass(frozen=True, eq=False, slots=True)
class DriftReference:
    """What the images of a reference, and the answers to them, were like.

    Attributes:
        sketches: distribution of each of `FEATURES` by its name.
        class_counts: int64 [K], images by chosen class.
    """

    sketches: Mapping[str, Sketch]
    class_counts: Int64Array

    @classmethod
    def of(cls, features: Float64Array, confidences: Float64Array, decisions: Int64Array, num_classes: int) -> Self:
        """Measure the images of a reference.

        Args:
            features: float64 [N, 8], see `image_features`; N at least 1.
            confidences: float64 [N], see `confidence_log_odds`.
            decisions: int64 [N], the chosen classes.
            num_classes: K.
        """
        columns = [*features.T, confidences]
        sketches = {name: Sketch.of(values) for name, values in zip(FEATURES, columns, strict=True)}
        return cls(sketches, np.bincount(decisions, minlength=num_classes).astype(np.int64))

    @property
    def images(self) -> int:
        """Number of images of the reference."""
        return int(self.class_counts.sum())

    def cells(self, features: Float64Array, confidences: Float64Array) -> Int64Array:
        """Return the cell of each image in each sketch, int64 [N, 9], in the order of `FEATURES`."""
        columns = [*features.T, confidences]
        found = [self.sketches[name].cells(values) for name, values in zip(FEATURES, columns, strict=True)]
        return np.stack(found, axis=1)
