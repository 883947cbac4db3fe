"""Likely label errors among images that are being measured anyway."""

import numpy as np

from torchstone_runtime.audit.label_errors import Confidences, LabelError, find_label_errors
from torchstone_runtime.data.split import Split
from torchstone_runtime.inference.predictions import Predictions


class LabelErrorTally:
    """Takes in batches and keeps the ten most probable classes of each image; see `find_label_errors`."""

    def __init__(self) -> None:
        self._batches: list[Confidences] = []
        self._classes = 0

    def add(self, split: Split, start: int, predictions: Predictions) -> None:
        """Add the samples of `split` from index `start` on; usable as the `on_batch` of `evaluate`."""
        probabilities = np.where(predictions.answered[:, None], predictions.probabilities, np.nan)
        labels = split.labels[start : start + len(predictions)]
        self._batches.append(Confidences.of(labels, probabilities.astype(np.float64)))
        self._classes = len(predictions.class_names)

    def errors(self) -> tuple[LabelError, ...]:
        """Return the likely label errors by their samples' indices, most confident first."""
        if not self._batches:
            return ()
        return tuple(find_label_errors(Confidences.joined(self._batches), self._classes))
