"""An evaluation beside the validation images: do sets hold the right class as often as promised, is there drift?"""

from dataclasses import dataclass
from typing import Final, Self

from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.drift.drift_report import DriftReport
from torchstone_runtime.drift.monitor import DriftMonitor
from torchstone_runtime.evaluation.conformal_sets import SetFigures, SetTally
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.inference.predictions import Predictions

DEFAULT_COVERAGE: Final = 0.95


@dataclass(frozen=True, slots=True)
class ValidationWatch:
    """What is compared with the validation images while a split is measured.

    Attributes:
        monitor: monitor of all images.
        tally: count of the sets; None where the validation images are too few for the usual coverage.
    """

    monitor: DriftMonitor
    tally: SetTally | None

    @classmethod
    def of(cls, classifier: Classifier, coverage: float | None = None, *, by_class: bool = False) -> Self | None:
        """Make one for a classifier; None where its bundle keeps nothing of its validation images.

        Args:
            classifier: the model.
            coverage: coverage that is asked for; `DEFAULT_COVERAGE`, where it can be promised, if None.
            by_class: whether for each class alone.

        Raises:
            UsageError: a coverage was asked for that cannot be promised.
            BundleError: what the bundle keeps is altered or not readable.
        """
        statistics = classifier.statistics
        if coverage is None and not statistics.present:
            return None
        calibration = statistics.read().conformal
        asked = DEFAULT_COVERAGE if coverage is None else coverage
        promised = coverage is not None or asked <= calibration.highest_coverage
        tally = SetTally(calibration, classifier.class_names, asked, by_class=by_class) if promised else None
        return cls(statistics.monitor(), tally)

    def add(self, images: Uint8Array, predictions: Predictions, labels: Int64Array) -> None:
        """Add images, uint8 [n, C, H, W], with what the model says of them and their right classes, int64 [n]."""
        self.monitor.add(images, predictions.logits)
        if self.tally is not None:
            self.tally.add(predictions, labels)

    def sets(self) -> SetFigures | None:
        """Return the figures of the sets, where there are any."""
        return self.tally.figures() if self.tally is not None else None

    def drift(self) -> DriftReport:
        """Return how far the images lie from the validation images."""
        return self.monitor.report()
