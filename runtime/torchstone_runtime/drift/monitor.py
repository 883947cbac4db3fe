"""`DriftMonitor`: the latest images beside those that the model was measured on."""

from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np

from torchstone_runtime.arrays import Float32Array, Int64Array, Uint8Array
from torchstone_runtime.drift.drift_report import CHANGES, DriftReport, FeatureDrift
from torchstone_runtime.drift.features import CLASSES, confidence_log_odds, image_features
from torchstone_runtime.drift.reference_images import DEFAULT_WINDOW, FEATURES, DriftReference
from torchstone_runtime.drift.significance import class_p_value, sketch_p_value
from torchstone_runtime.errors import UsageError


class DriftMonitor:
    """Compares the latest images, and the answers to them, with a reference. It may be used from several threads.

    Adding an image takes some ten microseconds for 28 x 28 pixels and a quarter of a millisecond for 224 x 224 in
    colour; a report takes less than a millisecond, of thousands of classes a few.

    Args:
        reference: statistics of the validation images.
        class_names: K class names in the order of the logits.
        temperature: temperature that the model divides its logits by.
        window: number of the latest images that are compared; all of them if None.

    Raises:
        UsageError: a window below 1.
    """

    def __init__(
        self,
        reference: DriftReference,
        class_names: Sequence[str],
        *,
        temperature: float = 1.0,
        window: int | None = DEFAULT_WINDOW,
    ) -> None:
        if window is not None and window < 1:
            raise UsageError(f"The window must be at least 1 image, not {window}.")
        self.reference = reference
        self.window = window
        self._class_names = tuple(class_names)
        self._temperature = temperature
        self._lock = Lock()
        self._counts = [np.zeros(reference.sketches[name].cell_count, np.int64) for name in FEATURES]
        self._counts.append(np.zeros(len(reference.class_counts), np.int64))
        self._kept = np.zeros((window or 0, len(self._counts)), np.int32)
        self._seen = 0

    def add(self, images: Uint8Array, logits: Float32Array) -> None:
        """Add images with the answers to them; those that have none are left out.

        Args:
            images: uint8 [N, C, H, W], as the model was given them.
            logits: float32 [N, K].
        """
        answered = np.isfinite(logits).all(axis=1)
        if not answered.all():
            images, logits = images[answered], logits[answered]
        if self.window is not None:
            images, logits = images[-self.window :], logits[-self.window :]
        confidences = confidence_log_odds(logits, self._temperature)
        cells = self.reference.cells(image_features(images), confidences)
        found = np.column_stack([cells, logits.argmax(axis=1)])
        with self._lock:
            self._count(found, 1)
            if self.window is not None:
                self._keep(found)
            self._seen += len(found)

    def add_counts(self, cells: Mapping[str, Mapping[int, int]], classes: Mapping[int, int]) -> None:
        """Add images that were counted elsewhere, to a monitor of all images (`window=None`).

        Args:
            cells: numbers of images, for each of `FEATURES`, by the cell of the reference that they fall into.
            classes: images by chosen class.
        """
        with self._lock:
            for counts, column in zip(self._counts, [*(cells[name] for name in FEATURES), classes], strict=True):
                for cell, images in column.items():
                    counts[cell] += images
            self._seen += sum(classes.values())

    def report(self) -> DriftReport:
        """Compare the images in the window with the reference."""
        with self._lock:
            counts = [column.copy() for column in self._counts]
        images = int(counts[-1].sum())
        if not images:
            return DriftReport(0, self.reference.images, ())
        features = [self._feature(name, column) for name, column in zip(FEATURES, counts, strict=False)]
        return DriftReport(images, self.reference.images, (*features, self._classes(counts[-1])))

    def reset(self) -> None:
        """Empty the window."""
        with self._lock:
            for column in self._counts:
                column[:] = 0
            self._seen = 0

    def __len__(self) -> int:
        return self._seen if self.window is None else min(self._seen, self.window)

    def _keep(self, found: Int64Array) -> None:
        places = (self._seen + np.arange(len(found))) % len(self._kept)
        self._count(self._kept[places[self._seen + np.arange(len(found)) >= len(self._kept)]], -1)
        self._kept[places] = found

    def _count(self, found: "Int64Array | np.ndarray[tuple[int, ...], np.dtype[np.int32]]", sign: int) -> None:
        for column, counts in zip(found.T, self._counts, strict=True):
            counts[:] += sign * np.bincount(column, minlength=len(counts))

    def _feature(self, name: str, counts: Int64Array) -> FeatureDrift:
        sketch = self.reference.sketches[name]
        distance, higher = sketch.distance(counts)
        p_value = sketch_p_value(distance, sketch.total, int(counts.sum()))
        return FeatureDrift(name, distance, p_value, CHANGES[name][higher])

    def _classes(self, counts: Int64Array) -> FeatureDrift:
        expected = self.reference.class_counts / self.reference.class_counts.sum()
        difference = counts / counts.sum() - expected
        most = int(np.abs(difference).argmax())
        share, name = expected[most] + difference[most], self._class_names[most]
        change = f"'{name}' {share:.1%} of the predictions, not {expected[most]:.1%}"
        distance = float(np.abs(difference).sum() / 2)
        return FeatureDrift(CLASSES, distance, class_p_value(self.reference.class_counts, counts), change)
