"""Sets of classes that hold the right one as often as was asked for: split conformal prediction.

A set has every class whose probability is at least a threshold, which is chosen on images that the model did not learn
from, so that the right class was below it on a share of them. On other images drawn as those were, the right class is
in the set with at least the probability asked for, whatever the model is worth (V. Vovk, A. Gammerman and G. Shafer,
Algorithmic Learning in a Random World, 2005; this score: M. Sadinle, J. Lei and L. Wasserman, Journal of the American
Statistical Association 114, 2019). docs/how-to/conformal.md has what other scores give.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float32Array, Int64Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import shortlist

MOST_IMAGES: Final = 20_000
"""Of more, as many are kept: each of them tells as much as any other, and the threshold is then known well enough."""
_NAMES_SHOWN: Final = 5
_ROUNDING: Final = 1e-9
"""A tenth of ten images is one, though 1 - 0.9 in binary is a little less than a tenth."""

Members = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class ConformalCalibration:
    """What a model thought of the right class of n images that it did not learn from.

    Attributes:
        probabilities: float32 [n], probability of each image's right class, ascending.
        classes: int64 [n], that class.
        num_classes: K.
    """

    probabilities: Float32Array
    classes: Int64Array
    num_classes: int

    @classmethod
    def of(cls, right: Float32Array, labels: Int64Array, num_classes: int) -> Self:
        """Calibrate on images whose right classes are known; of very many, on `MOST_IMAGES` spread over them.

        Args:
            right: float32 [n], the probability that the model gave each image's right class; n at least 1.
            labels: int64 [n], the right classes.
            num_classes: K.
        """
        if len(labels) > MOST_IMAGES:
            kept = np.linspace(0, len(labels) - 1, MOST_IMAGES).round().astype(np.int64)
            right, labels = right[kept], labels[kept]
        order = np.lexsort((labels, right))
        return cls(right[order].astype(np.float32), labels[order].astype(np.int64), num_classes)

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def highest_coverage(self) -> float:
        """Largest coverage that so many images can promise, n / (n + 1)."""
        return len(self) / (len(self) + 1)

    def threshold(self, coverage: float) -> float:
        """Return the least probability of a class in a set, so that the right class is in with that probability.

        Args:
            coverage: probability asked for, more than 0 and less than 1.

        Raises:
            UsageError: another number, or one that needs more images than the calibration has.
        """
        check_coverage(coverage)
        rank = _rank(len(self), coverage)
        if rank < 1:
            raise UsageError(
                f"A coverage of {coverage:g} cannot be promised: the model was calibrated on {len(self):,} validation "
                f"images, which allow {_floor(self.highest_coverage)} at most.",
                f"Ask for less, or export with {_images_for(coverage):,} validation images or more.",
            )
        return float(self.probabilities[rank - 1])

    def thresholds_by_class(self, coverage: float, class_names: Sequence[str] = ()) -> Float32Array:
        """Return a threshold for each class, float32 [K], so that each class's images are covered as often as asked.

        Args:
            coverage: probability asked for, more than 0 and less than 1.
            class_names: names of the classes, for the error's message.

        Raises:
            UsageError: another number, or one that needs more images of some class than the calibration has.
        """
        check_coverage(coverage)
        counts = np.bincount(self.classes, minlength=self.num_classes)
        few = [index for index, count in enumerate(counts.tolist()) if _rank(count, coverage) < 1]
        if few:
            names = shortlist([class_names[index] if class_names else str(index) for index in few], _NAMES_SHOWN)
            raise UsageError(
                f"A coverage of {coverage:g} cannot be promised for each class: that needs {_images_for(coverage):,} "
                f"validation images of each, and {len(few):,} of {self.num_classes:,} classes have fewer: {names}.",
                "Ask for less, or for sets over all classes together.",
            )
        own = (self.probabilities[self.classes == index] for index in range(self.num_classes))
        return np.array([values[_rank(len(values), coverage) - 1] for values in own], dtype=np.float32)

    def members(
        self,
        probabilities: Float32Array,
        coverage: float,
        class_names: Sequence[str] = (),
        *,
        by_class: bool = False,
        allow_empty: bool = False,
        decisions: Int64Array | None = None,
    ) -> Members:
        """Return which classes are in each image's set, bool [N, K].

        Args:
            probabilities: float32 [N, K]; a row that is no answer (NaN) has an empty set.
            coverage: probability that the right class is in, more than 0 and less than 1.
            class_names: names of the classes, for the error's message.
            by_class: whether each class's own images are covered as often, which makes larger sets.
            allow_empty: whether a set may have no class at all. Else the most probable class is always in it: a model
                that is right more often than was asked for then covers as often as it is right.
            decisions: int64 [N], the class that the model chooses, -1 where there is no answer; that of the largest
                probability if None.

        Raises:
            UsageError: a coverage that cannot be promised, or probabilities of another number of classes.
        """
        if probabilities.shape[1:] != (self.num_classes,):
            raise UsageError(f"Probabilities must be [N, {self.num_classes}], not {list(probabilities.shape)}.")
        least = self.thresholds_by_class(coverage, class_names) if by_class else self.threshold(coverage)
        answered = np.isfinite(probabilities.sum(axis=1))
        inside: Members = (probabilities >= np.float32(least)) & answered[:, np.newaxis]
        if not allow_empty:
            chosen = probabilities.argmax(axis=1) if decisions is None else decisions
            rows = np.flatnonzero(answered & (chosen >= 0))
            inside[rows, chosen[rows]] = True
        return inside


def coverage_range(coverage: float, calibration: int, images: int) -> tuple[float, float]:
    """Return the range that holds the share of covered images in at least 95% of calibrations, by theory.

    Of `images` images drawn as the calibrating ones were, and scores of which no two are equal, the number covered has
    the beta-binomial distribution with n + 1 - k and k, where k = floor((n + 1)(1 - coverage)) (V. Vovk, Conditional
    validity of inductive conformal predictors, ACML 2012). Sets that always have the most probable class may cover
    more.

    Args:
        coverage: probability that was asked for.
        calibration: number n of calibrating images; enough for the coverage.
        images: number of images that are covered or not, at least 1.
    """
    below = _rank(calibration, coverage)
    above = calibration + 1 - below
    step = np.arange(images)
    ratios = np.log((images - step) / (step + 1)) + np.log((above + step) / (below + images - step - 1))
    log_mass = np.concatenate([[0.0], np.cumsum(ratios)])
    mass = np.exp(log_mass - log_mass.max())
    summed = np.cumsum(mass / mass.sum())
    low, high = np.searchsorted(summed, [0.025, 0.975])
    return float(low / images), float(min(high, images) / images)


def check_coverage(coverage: float) -> None:
    """Check that a coverage lies between 0 and 1, neither included.

    Raises:
        UsageError: it does not.
    """
    if not 0 < coverage < 1:
        raise UsageError(f"A coverage is more than 0 and less than 1, not {coverage:g}.", "Give one such as 0.95.")


def _rank(images: int, coverage: float) -> int:
    # Of n + 1 exchangeable images, the last is as likely at each rank: below the k-th of the n others with k/(n + 1).
    return int((images + 1) * (1 - coverage) + _ROUNDING)


def _images_for(coverage: float) -> int:
    return int(np.ceil(1 / (1 - coverage) - _ROUNDING / (1 - coverage))) - 1


def _floor(share: float) -> str:
    return f"{int(share * 10_000) / 10_000:.4f}"
