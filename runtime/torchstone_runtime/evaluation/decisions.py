"""What a classifier decides on a labelled split, from which metrics, diagrams and galleries follow."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.metrics.answered import NO_ANSWER, NO_ANSWER_TEXT
from torchstone_runtime.metrics.calibration import Reliability, reliability
from torchstone_runtime.metrics.classification import Metrics


@dataclass(frozen=True, eq=False, slots=True)
class Decisions:
    """A classifier's decisions on every sample of a split: a few bytes a sample, and no pixels.

    Attributes:
        split: the images, read again where some are shown, and their true classes.
        metrics: derived from the confusion matrix.
        predicted: predicted class of each sample, int64 [N], in the split's order; `NO_ANSWER` for one that has none.
        confidence: the probability (0 to 1) of each predicted class, float32 [N]; 0 for a sample without an answer,
            which whoever answers only where the model is sure therefore answers last.
    """

    split: Split
    metrics: Metrics
    predicted: Int64Array
    confidence: Float32Array

    @property
    def unanswered(self) -> Int64Array:
        """Indices of the samples for which the model gives no answer, ascending."""
        return np.flatnonzero(self.predicted == NO_ANSWER)

    def predicted_name(self, index: int) -> str:
        """Return the name of the class predicted for the sample at an index, or that there is no answer."""
        predicted = int(self.predicted[index])
        return NO_ANSWER_TEXT if predicted == NO_ANSWER else self.split.class_names[predicted]

    def right(self) -> npt.NDArray[np.bool_]:
        """Return for each sample whether the predicted class is the true one, [N]."""
        right: npt.NDArray[np.bool_] = self.predicted == self.split.labels
        return right

    def wrong(self) -> Int64Array:
        """Return the indices of the samples that are not their predicted class, the most confident first."""
        indices = np.flatnonzero(~self.right())
        return indices[np.argsort(-self.confidence[indices], kind="stable")]


def reliability_of(seen: Decisions) -> Reliability:
    """Return how well the confidence of decisions agrees with their accuracy."""
    return reliability(seen.confidence, seen.right())
