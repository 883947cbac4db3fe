"""What a bundle keeps of its validation images: how they look, and what the model thought of their right classes."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.drift.features import CONFIDENCE, confidence_log_odds
from torchstone_runtime.drift.reference_images import FEATURES, DriftReference
from torchstone_runtime.drift.sketch import Sketch
from torchstone_runtime.errors import BundleError
from torchstone_runtime.metrics.conformal import ConformalCalibration

FILE_NAME: Final = "validation.npz"
_MAX_BYTES: Final = 1 << 27
_MOST_POINTS: Final = 1 << 16
_BLOCK_VALUES: Final = 1 << 20
"""Logits that are worked on at once: 8 MiB."""


@dataclass(frozen=True, eq=False, slots=True)
class ValidationStatistics:
    """The validation images of a model, as one of its variants answered them.

    Attributes:
        drift: distributions that other images are compared with.
        conformal: probabilities of the right classes, from which sets of classes are made.
    """

    drift: DriftReference
    conformal: ConformalCalibration

    @classmethod
    def of(cls, features: Float64Array, logits: Float32Array, labels: Int64Array, temperature: float) -> Self:
        """Measure validation images.

        Args:
            features: float64 [N, 8], see `drift.features.image_features`; N at least 1.
            logits: float32 [N, K], finite.
            labels: int64 [N], the right classes.
            temperature: temperature that the model divides its logits by.
        """
        blocks = range(0, len(logits), max(1, _BLOCK_VALUES // logits.shape[1]))
        parts = [slice(start, start + blocks.step) for start in blocks]
        confidences = np.concatenate([confidence_log_odds(logits[part], temperature) for part in parts])
        right = np.concatenate([_right_probability(logits[part], labels[part], temperature) for part in parts])
        reference = DriftReference.of(features, confidences, logits.argmax(axis=1), logits.shape[1])
        return cls(reference, ConformalCalibration.of(right, labels, logits.shape[1]))

    @classmethod
    def from_bytes(cls, content: bytes, num_classes: int, variant: str | None = None) -> Self:
        """Read what `statistics_file` wrote; nothing is unpickled.

        Args:
            content: the npz file.
            num_classes: K.
            variant: a lossy variant, whose own answers are wanted; those of the exact ones if None.

        Raises:
            BundleError: another format, or arrays that don't belong together.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(info.file_size for info in archive.infolist()) > _MAX_BYTES:
                    raise ValueError(f"they unpack to more than {_MAX_BYTES:,} bytes")
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                return cls._from_arrays(arrays, num_classes, f".{variant}" if variant else "")
        except Exception as error:  # A damaged archive makes zipfile, zlib and NumPy raise a dozen unrelated classes.
            raise BundleError(
                f"The statistics of the validation images cannot be read: {error}.", "Export the bundle again."
            ) from error

    @classmethod
    def _from_arrays(cls, arrays: Any, num_classes: int, own: str) -> Self:  # noqa: ANN401 - NumPy's NpzFile
        counts = _checked(arrays[f"class_counts{own}"], "class_counts", (num_classes,), np.int64)
        images = int(counts.sum())
        sketches = {name: _sketch(arrays, f"{name}{own if name == CONFIDENCE else ''}", images) for name in FEATURES}
        probabilities = arrays[f"right_probabilities{own}"]
        classes = _checked(arrays[f"right_classes{own}"], "right_classes", probabilities.shape, np.int64)
        _checked(probabilities, "right_probabilities", (len(classes),), np.float32)
        if not (len(classes) and probabilities[0] >= 0 and probabilities[-1] <= 1 and _ascending(probabilities)):
            raise ValueError("right_probabilities must be 0 to 1, ascending, at least one")
        if counts.min() < 0 or images < 1 or classes.min() < 0 or classes.max() >= num_classes:
            raise ValueError("a class or a count is out of range")
        return cls(DriftReference(sketches, counts), ConformalCalibration(probabilities, classes, num_classes))

    def _to_arrays(self, own: str) -> dict[str, np.ndarray[Any, Any]]:
        arrays: dict[str, np.ndarray[Any, Any]] = {
            f"class_counts{own}": self.drift.class_counts,
            f"right_probabilities{own}": self.conformal.probabilities,
            f"right_classes{own}": self.conformal.classes,
        }
        for name in (CONFIDENCE,) if own else FEATURES:
            sketch, key = self.drift.sketches[name], f"{name}{own if name == CONFIDENCE else ''}"
            arrays[f"points.{key}"] = sketch.points
            arrays[f"counts.{key}"] = np.stack([sketch.below, sketch.at_most])
        return arrays


def statistics_file(exact: ValidationStatistics, lossy: Mapping[str, ValidationStatistics]) -> bytes:
    """Return the content of `validation.npz`.

    Args:
        exact: statistics of the variants that decide as the model does.
        lossy: statistics of the lossy variants by name, of the same images.
    """
    arrays = exact._to_arrays("")  # noqa: SLF001 - the other half of from_bytes
    for variant, own in lossy.items():
        arrays |= own._to_arrays(f".{variant}")  # noqa: SLF001
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stubs take the names for options
    return buffer.getvalue()


def _right_probability(logits: Float32Array, labels: Int64Array, temperature: float) -> Float32Array:
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    right: Float64Array = np.exp(scaled[np.arange(len(labels)), labels]) / np.exp(scaled).sum(axis=1)
    return right.astype(np.float32)


def _sketch(arrays: Any, key: str, images: int) -> Sketch:  # noqa: ANN401 - NumPy's NpzFile
    points = arrays[f"points.{key}"]
    if not 1 <= len(points) <= _MOST_POINTS:
        raise ValueError(f"points.{key} has {len(points)} points")
    _checked(points, f"points.{key}", (len(points),), np.float64)
    below, at_most = _checked(arrays[f"counts.{key}"], f"counts.{key}", (2, len(points)), np.int64)
    if not (np.isfinite(points).all() and _ascending(points) and _ascending(below) and _ascending(at_most)):
        raise ValueError(f"the points or counts of {key} are not in ascending order")
    if below[0] < 0 or at_most[-1] > images or (below > at_most).any():
        raise ValueError(f"the counts of {key} are out of range")
    return Sketch(points, below, at_most, images)


def _ascending(values: "np.ndarray[Any, Any]") -> bool:
    return bool((np.diff(values) >= 0).all())


def _checked(
    values: "np.ndarray[Any, Any]", name: str, shape: tuple[int, ...], dtype: type[np.generic]
) -> "np.ndarray[Any, Any]":
    if values.shape != shape or values.dtype != dtype:
        raise ValueError(f"{name} is {values.dtype} {list(values.shape)}, expected {np.dtype(dtype)} {list(shape)}")
    return values
