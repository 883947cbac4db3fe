"""Temperature scaling: probabilities that mean what they say, and decisions that stay as they are.

Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599, section 4.2:
all logits are divided by one number T > 0, chosen to minimise the negative log-likelihood (NLL) of validation data.
The order of the logits, and so every decision, stays.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from torchstone_export.certificate.reference import Reference, SplitReference
from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.metrics.calibration import BINS, reliability

MIN_TEMPERATURE: Final = 0.05
MAX_TEMPERATURE: Final = 100.0
SIGNIFICANT_DIGITS: Final = 4
"""Of the temperature: another machine's last bits must not change the exported files."""
_STEPS: Final = 100
_PRECISION: Final = 1e-10
_BLOCK_VALUES: Final = 1 << 20
"""Logits that are worked on at once: 8 MiB."""
_METHOD: Final = "temperature scaling, Guo et al. 2017, arXiv 1706.04599: least negative log-likelihood on validation"
_SWITCHED_OFF: Final = "it was switched off"


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """How well probabilities agree with what came true.

    Attributes:
        expected_calibration_error: ECE of the predicted class, 0 (best) to 1; in the bins of the training's report.
        negative_log_likelihood: mean over the samples, in nats.
        brier_score: mean over the samples of the squared differences summed over the classes, 0 (best) to 2
            (Brier 1950).
    """

    expected_calibration_error: float
    negative_log_likelihood: float
    brier_score: float

    def to_json(self) -> dict[str, float]:
        """Return the figures by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The temperature of a model, and what it does to the probabilities of each split.

    Attributes:
        temperature: temperature that is folded into the graph; 1 where the probabilities stay as they are.
        reason: reason for this temperature, in words.
        splits: figures without (`before`) and with (`after`) the temperature, by split.
    """

    temperature: float
    reason: str
    splits: dict[str, dict[str, CalibrationFigures]]

    def to_json(self) -> dict[str, Any]:
        """Return the part `calibration` of `certificate.json`."""
        return {
            "method": _METHOD,
            "temperature": self.temperature,
            "reason": self.reason,
            "fitted_on": "validation",
            "bins": BINS,
            "splits": {
                name: {when: figures.to_json() for when, figures in both.items()} for name, both in self.splits.items()
            },
        }

    def summary(self) -> str:
        """Return one line for people."""
        errors = [
            f"{name} {both['before'].expected_calibration_error:.4f} to {both['after'].expected_calibration_error:.4f}"
            for name, both in self.splits.items()
        ]
        return f"temperature {self.temperature:g} ({self.reason}); calibration error {', '.join(errors)}"


def calibrate(reference: Reference, *, fit: bool = True) -> Calibration:
    """Fit the temperature on `validation` alone, and measure what it does on every split.

    Args:
        reference: the model's logits.
        fit: whether a temperature is fitted; else it is 1.
    """
    validation = reference.splits["validation"]
    labels = validation.split.labels
    temperature, reason = fit_temperature(validation.exact, labels) if fit else (1.0, _SWITCHED_OFF)
    return Calibration(temperature, reason, {name: _both(part, temperature) for name, part in reference.splits.items()})


def fit_temperature(logits: Float64Array, labels: Int64Array) -> tuple[float, str]:
    """Return the temperature with the least NLL, to four significant digits, and why it is this one.

    It is 1 where there is nothing to fit: no samples, every sample right (the likelihood then grows without end as T
    falls, which says that there is too little data and not that the model is sure), or no gain in NLL. It stays
    within `MIN_TEMPERATURE` and `MAX_TEMPERATURE`.

    Args:
        logits: finite, [N, K].
        labels: int64 [N].
    """
    if len(logits) == 0:
        return 1.0, "there are no validation images"
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    true = shifted[np.arange(len(labels)), labels]
    if (true == 0).all():
        return 1.0, "no validation image prefers a wrong class, which bounds no temperature"
    fitted = float(f"{1 / _least_nll(shifted, float(true.mean())):.{SIGNIFICANT_DIGITS}g}")
    if not measure(logits, labels, fitted).negative_log_likelihood < measure(logits, labels).negative_log_likelihood:
        return 1.0, "no other has a smaller NLL on validation"
    return fitted, "fitted on validation"


def measure(logits: Float64Array, labels: Int64Array, temperature: float = 1.0) -> CalibrationFigures:
    """Measure the probabilities that logits [N, K] give at a temperature; N at least 1."""
    parts = [_measured(logits[rows], labels[rows], temperature) for rows in _blocks(logits)]
    confidence, right, likelihoods, squares = (np.concatenate(values) for values in zip(*parts, strict=True))
    return CalibrationFigures(
        expected_calibration_error=reliability(confidence, right).error,
        negative_log_likelihood=float(-likelihoods.mean()),
        brier_score=float(squares.mean()),
    )


def _measured(logits: Float64Array, labels: Int64Array, temperature: float) -> tuple[Any, Any, Any, Any]:
    """Return for each row confidence, whether it is right, log-likelihood and squared error, [n] each."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    logarithms = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    probabilities = np.exp(logarithms)
    rows = np.arange(len(labels))
    # Of the squares only the true class's has another target than 0.
    squares = (probabilities**2).sum(axis=1) + 1 - 2 * probabilities[rows, labels]
    return probabilities.max(axis=1), logits.argmax(axis=1) == labels, logarithms[rows, labels], squares


def _blocks(logits: Float64Array) -> list[slice]:
    """Return rows that are worked on at once: of thousands of classes, whole matrices would be gigabytes each."""
    rows = max(1, _BLOCK_VALUES // logits.shape[1])
    return [slice(start, start + rows) for start in range(0, len(logits), rows)]


def _both(part: SplitReference, temperature: float) -> dict[str, CalibrationFigures]:
    labels = part.split.labels
    return {"before": measure(part.exact, labels), "after": measure(part.exact, labels, temperature)}


def _least_nll(shifted: Float64Array, true_mean: float) -> float:
    """Return 1/T with the least NLL, by Newton's method kept inside a bracket.

    In b = 1/T the NLL is convex: its derivative, the mean over the samples of the expected logit less the true one,
    never falls. So a sign tells on which side the minimum lies, and bisection takes over where a step leaves the
    bracket.

    Args:
        shifted: logits less the largest of their row, [N, K].
        true_mean: mean of the true classes' entries.
    """
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    inverse = 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(shifted, inverse)
        slope -= true_mean
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = slope / curvature if curvature > 0 else math.inf
        if abs(step) <= _PRECISION * inverse:
            return inverse
        proposed = inverse - step
        # In the logarithm the middle of 0.01 and 20 is near 0.4 and not near 10.
        following = proposed if low < proposed < high else math.sqrt(low * high)
        if abs(following - inverse) <= _PRECISION * inverse:
            return following  # at a bound
        inverse = following
    return inverse


def _derivatives(shifted: Float64Array, inverse: float) -> tuple[float, float]:
    parts = [_moments(shifted[rows], inverse) for rows in _blocks(shifted)]
    expected, squared = (np.concatenate(values) for values in zip(*parts, strict=True))
    variance = squared - expected**2
    return float(expected.mean()), float(variance.mean())


def _moments(shifted: Float64Array, inverse: float) -> tuple[Float64Array, Float64Array]:
    weights = np.exp(inverse * shifted)
    weights /= weights.sum(axis=1, keepdims=True)
    return (weights * shifted).sum(axis=1), (weights * shifted**2).sum(axis=1)
