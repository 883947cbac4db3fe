"""What a certificate keeps of a variant's outputs over a split, so that they can be compared again without PyTorch.

Decisions of samples that no accepted error can change are kept as a digest. Near-ties are kept one by one, with the
classes that an accepted error can make win: another processor may decide them otherwise and be right. Logits are
kept as a sketch: sums over all samples with random signs, from which the root mean square of the difference to
another set of logits follows without those logits (Alon, Matias and Szegedy: The space complexity of approximating
the frequency moments, 1996).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.evaluation.evaluate import decisions_sha256

_SUMS: Final = 256
"""Sums that a sketch has at least, over all classes: its estimate is off by 1 / sqrt(2 * 256) = 4.4%, one sigma."""
_MIN_ROWS: Final = 8
_CHUNK: Final = 4096


@dataclass(frozen=True, slots=True)
class NearTie:
    """A sample whose decision may differ elsewhere: its index in the split, its id, and the classes it may get.

    The class of the largest certified logit comes first.
    """

    index: int
    sample_id: str
    classes: tuple[int, ...]


@dataclass(frozen=True, eq=False, slots=True)
class CertifiedSplit:
    """The outputs of a variant over a split, as far as they can be asked for again.

    Attributes:
        samples: N.
        tolerance: largest absolute logit error that is accepted elsewhere; it decides which samples are near-ties.
        rms_tolerance: largest accepted root mean square of the logit errors.
        settled_sha256: digest of the decisions of all samples that are not near-ties, in order.
        near_ties: the others, in order.
        sketch: float64 [R, K], see `sketch_logits`.
    """

    samples: int
    tolerance: float
    rms_tolerance: float
    settled_sha256: str
    near_ties: tuple[NearTie, ...]
    sketch: Float64Array

    @classmethod
    def of(
        cls, logits: Float64Array, ids: Sequence[str], *, tolerance: float, rms_tolerance: float
    ) -> "CertifiedSplit":
        """Record logits, float64 [N, K], that others must give again within the tolerances."""
        top = logits.max(axis=1, keepdims=True)
        # An error of at most the tolerance can lift a class by that much and lower the winner by that much.
        possible = logits >= top - 2 * tolerance
        unsure = np.flatnonzero(possible.sum(axis=1) > 1)
        ties = tuple(NearTie(index, ids[index], _ranked(logits[index], possible[index])) for index in unsure.tolist())
        settled = np.delete(logits.argmax(axis=1), unsure)
        digest = decisions_sha256(settled)
        return cls(len(logits), tolerance, rms_tolerance, digest, ties, sketch_logits(logits))

    def to_json(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the `repeat` object of `certificate.json`."""
        return {
            "samples": self.samples,
            "tolerance": self.tolerance,
            "rms_tolerance": self.rms_tolerance,
            "settled_sha256": self.settled_sha256,
            "near_ties": [
                {"index": tie.index, "id": tie.sample_id, "classes": [class_names[k] for k in tie.classes]}
                for tie in self.near_ties
            ],
            "sketch": [[float(value) for value in row] for row in self.sketch],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], class_names: Sequence[str]) -> "CertifiedSplit":
        """Read what `to_json` wrote.

        Raises:
            KeyError, TypeError, ValueError, OverflowError: it is something else.
        """
        position = {name: index for index, name in enumerate(class_names)}
        ties = tuple(
            NearTie(int(tie["index"]), str(tie["id"]), tuple(position[name] for name in tie["classes"]))
            for tie in data["near_ties"]
        )
        sketch = np.array(data["sketch"], dtype=np.float64)
        samples = int(data["samples"])
        if sketch.shape != (_rows(len(class_names)), len(class_names)) or not np.isfinite(sketch).all():
            raise ValueError(f"the sketch has the shape {sketch.shape}")
        indices = [tie.index for tie in ties]
        if sorted(set(indices)) != indices or (indices and not 0 <= indices[0] <= indices[-1] < samples):
            raise ValueError("the near-ties are not in the order of the samples")
        tolerance, rms = float(data["tolerance"]), float(data["rms_tolerance"])
        return cls(samples, tolerance, rms, str(data["settled_sha256"]), ties, sketch)

    def settled_agree(self, decisions: Int64Array) -> bool:
        """Return whether all samples but the near-ties have the certified class; `decisions` is int64 [N]."""
        settled = np.delete(decisions, [tie.index for tie in self.near_ties])
        return len(decisions) == self.samples and decisions_sha256(settled) == self.settled_sha256

    def impossible_ties(self, decisions: Int64Array) -> list[NearTie]:
        """Return the near-ties that got a class which no accepted error can give them."""
        return [tie for tie in self.near_ties if int(decisions[tie.index]) not in tie.classes]

    def rms_error(self, sketch: Float64Array) -> float:
        """Estimate the root mean square, over samples and classes, of the difference to the logits of a sketch."""
        return float(np.sqrt(np.mean((sketch - self.sketch) ** 2)))


class LogitSketch:
    """A sketch that grows by batches of logits, in the order of the split."""

    def __init__(self, samples: int, num_classes: int) -> None:
        self._samples = samples
        self._sums = np.zeros((_rows(num_classes), num_classes))
        # The legacy generator's streams are frozen for good (NumPy's NEP 19): another machine draws the same signs.
        self._random = np.random.RandomState(0)

    def add(self, logits: npt.NDArray[np.floating[Any]]) -> None:
        """Take in the next samples' logits, (n, K)."""
        signs = self._random.randint(0, 2, (len(logits), len(self._sums))) * 2.0 - 1
        self._sums += signs.T @ logits.astype(np.float64)

    def result(self) -> Float64Array:
        """Return the sketch, float64 [R, K]: sums divided by the root of the number of samples."""
        sketch: Float64Array = self._sums / math.sqrt(self._samples)
        return sketch


def sketch_logits(logits: npt.NDArray[np.floating[Any]]) -> Float64Array:
    """Return the sketch of logits (N, K).

    Entry (r, k) is the sum over all samples n of s(n, r) * logit(n, k), divided by sqrt(N). The signs s are
    `RandomState(0).randint(0, 2, (N, R)) * 2 - 1` of NumPy, row by row; R is max(8, ceil(256 / K)).
    """
    sketch = LogitSketch(*logits.shape)
    for start in range(0, len(logits), _CHUNK):
        sketch.add(logits[start : start + _CHUNK])
    return sketch.result()


def _ranked(logits: Float64Array, possible: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    order = np.argsort(-logits, kind="stable")
    return tuple(order[possible[order]].tolist())


def _rows(num_classes: int) -> int:
    return max(_MIN_ROWS, math.ceil(_SUMS / num_classes))
