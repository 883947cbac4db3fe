"""Answers of a server beside the golden samples."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Float64Array
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.errors import CheckFailedError, RemoteError
from torchstone_runtime.text import showable

_SUM_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class WireComparison:
    """What a server's answers are beside the expected ones.

    Attributes:
        output: `logits` or `probabilities`.
        samples: number of images.
        largest: largest absolute difference of a value of `output`; NaN where one is not a number.
        tolerance: largest accepted one.
        otherwise: lines that name the samples of another class.
    """

    output: str
    samples: int
    largest: float
    tolerance: float
    otherwise: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Whether a class differs, or a difference is not finite or above the tolerance."""
        return bool(self.otherwise) or not self.largest <= self.tolerance

    def figures(self) -> str:
        """Return how much differs, in words."""
        changed = len(self.otherwise)
        return (
            f"of {self.samples} golden samples {changed} {'changes' if changed == 1 else 'change'} class; the largest "
            f"difference of the {self.output} is {self.largest:.3g}, accepted is {self.tolerance:.3g}"
        )

    def summary(self) -> str:
        """Return a line that says that all is well."""
        return (
            f"{self.samples} golden samples over the wire decide as at export; largest difference of the "
            f"{self.output} {self.largest:.2e} (accepted: {self.tolerance:.2e})"
        )

    @classmethod
    def of(
        cls,
        samples: GoldenSamples,
        answers: Sequence[Mapping[str, npt.NDArray[Any]]],
        tolerance: float,
        temperature: float,
        class_names: tuple[str, ...],
    ) -> "WireComparison":
        """Compare the outputs of requests, in the order of the samples, with the golden ones.

        Logits and probabilities are compared where both are given; the one that is further off is returned. An output
        of another name is taken for probabilities where its rows are, and for logits otherwise.

        Args:
            samples: golden samples of a variant.
            answers: outputs by name, a mapping for each request.
            tolerance: largest accepted absolute difference of a logit.
            temperature: temperature that the model divides its logits by before the softmax.
            class_names: K class names in the order of the outputs.

        Raises:
            CheckFailedError: there is another number of classes.
            RemoteError: there is no output to compare, or one of another number of images.
        """
        found = []
        for name in _names(answers):
            rows = _rows([answer[name] for answer in answers], len(samples.images), len(class_names))
            probable = name == "probabilities" or (name != "logits" and _are_probabilities(rows))
            expected = samples.probabilities if probable else samples.logits
            # As in GoldenSamples.check, where the bound is explained.
            accepted = tolerance * max(1.0, 0.5 / temperature) if probable else tolerance
            largest, others = float(np.abs(rows - expected).max()), _otherwise(rows, expected, class_names)
            found.append(cls("probabilities" if probable else "logits", len(rows), largest, accepted, others))
        # A NaN is worse than any number, and a changed class than any difference.
        return max(found, key=lambda one: (one.failed, len(one.otherwise), not math.isfinite(one.largest)))


def _otherwise(rows: Float64Array, expected: Float32Array, class_names: tuple[str, ...]) -> tuple[str, ...]:
    found, right = rows.argmax(axis=1), expected.argmax(axis=1)
    lines = [
        f"golden sample {index}: {showable(class_names[found[index]])} in place of "
        f"{showable(class_names[right[index]])}"
        for index in np.flatnonzero(found != right)
    ]
    return tuple(lines)


def _names(answers: Sequence[Mapping[str, npt.NDArray[Any]]]) -> list[str]:
    shared = set.intersection(*(set(answer) for answer in answers))
    known: list[str] = [name for name in ("logits", "probabilities") if name in shared]
    if not known and len(shared) != 1:
        raise RemoteError(f"The server's answer has {len(shared)} outputs of numbers; expected logits.")
    return known or list(shared)


def _rows(outputs: Sequence[npt.NDArray[Any]], images: int, classes: int) -> Float64Array:
    for output in outputs:
        if output.shape[-1:] != (classes,):
            given = output.shape[-1] if output.shape else 0
            raise CheckFailedError(
                f"The server's model has {given} classes, the bundle {classes}: it is another model.",
                "Name the right model with --model, or give the bundle that was deployed.",
            )
    rows = np.concatenate([output.reshape(-1, classes) for output in outputs]).astype(np.float64)
    if len(rows) != images:
        raise RemoteError(f"The server answered for {len(rows)} images; {images} were sent.")
    return rows


def _are_probabilities(rows: Float64Array) -> bool:
    return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) < _SUM_TOLERANCE).all())
