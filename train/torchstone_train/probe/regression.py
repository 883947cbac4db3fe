"""Logistic regression on standardised features, its strength chosen by cross-validation, folded into one layer.

Its products of matrices run on one thread, and the folds side by side: two threads of OpenBLAS took 1.5 to 2.2 times as
long as one for 1,500 images with 1,280 features, and 1.1 times for 10,000. So its sums don't depend on the number of
processors either. Measured by benchmarks/training/regression_threads.py.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from torchstone_runtime.arrays import Float32Array, Float64Array, Int64Array
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.memory import memory_available

STRENGTHS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths of regularisation (scikit-learn's C) that are tried, for standardised features."""
_FOLDS: Final = 5
_ITERATIONS: Final = 1000
_NEVER: Final = -1000.0
"""Logit of a class without training images."""
_LEAST: Final = 2
_COPIES: Final = 2
"""Copies of the features that a fit of a fold holds at most: its own rows, and those that scikit-learn makes."""
_SHARE: Final = 0.5
"""Of the available memory, what the copies of all folds may take."""


@dataclass(frozen=True, eq=False, slots=True)
class LastLayer:
    """A linear layer on the features as they are.

    Attributes:
        weight: float32 (K, F).
        bias: float32 (K).
        strength: the C that was chosen.
        losses: mean log loss on held-out images by C; empty where there were too few images to hold some out.
        converged: whether the last fit came to its end.
    """

    weight: Float32Array
    bias: Float32Array
    strength: float
    losses: dict[float, float]
    converged: bool


def fit_last_layer(
    features: Float32Array,
    labels: Int64Array,
    num_classes: int,
    *,
    balanced: bool,
    intercept: bool,
    seed: int,
    say: Callable[[str], None],
) -> LastLayer:
    """Fit scikit-learn's `LogisticRegression` and fold the standardisation of the features into it.

    Args:
        features: float32 (n, F).
        labels: int64 (n), of two classes or more.
        num_classes: number of classes K; one without images is never predicted.
        balanced: whether rare classes count as much as frequent ones, in the fit and in the choice of the strength.
        intercept: whether the layer has a bias; without one the features are scaled, but not centred.
        seed: seed of the folds.
        say: function that is told of each strength that was tried.
    """
    mean, scale = _standardisation(features, centred=intercept)
    scaled = (features.astype(np.float64) - mean) / scale
    fit = _Fit(balanced, intercept)
    with threadpool_limits(limits=1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the caller is told of the fit that counts
        losses = _losses(scaled, labels, fit, seed, say)
        strength = min(losses, key=lambda value: losses[value]) if losses else 1e-2
        model, converged = _told_of_convergence(partial(fit.on, scaled, labels, strength))
    weight, bias = _softmax_layer(model, num_classes)
    weight /= scale
    bias -= weight @ mean
    return LastLayer(weight.astype(np.float32), bias.astype(np.float32), strength, losses, converged)


@dataclass(frozen=True, slots=True)
class _Fit:
    balanced: bool
    intercept: bool

    def on(self, features: Float64Array, labels: Int64Array, strength: float) -> LogisticRegression:
        model = LogisticRegression(
            C=strength,
            fit_intercept=self.intercept,
            class_weight="balanced" if self.balanced else None,
            max_iter=_ITERATIONS,
        )
        return model.fit(features, labels)


def _told_of_convergence(fit: Callable[[], LogisticRegression]) -> tuple[LogisticRegression, bool]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model = fit()
    return model, not any(issubclass(found.category, ConvergenceWarning) for found in caught)


def _standardisation(features: Float32Array, *, centred: bool) -> tuple[Float64Array, Float64Array]:
    values = features.astype(np.float64)
    mean = values.mean(axis=0)
    scale = values.std(axis=0) if centred else np.sqrt((values**2).mean(axis=0))
    # A feature that is the same for all images says nothing; dividing by its noise would make it loud.
    constant = scale <= np.abs(mean) * 1e-6 if centred else scale == 0
    return mean if centred else np.zeros_like(mean), np.where(constant | (scale == 0), 1.0, scale)


def _losses(
    features: Float64Array, labels: Int64Array, fit: _Fit, seed: int, say: Callable[[str], None]
) -> dict[float, float]:
    """Return the mean log loss on held-out images by strength; it ends where it has risen twice."""
    parts = _parts(labels, seed)
    losses: dict[float, float] = {}
    if not parts:
        return losses
    with ThreadPoolExecutor(_fits_at_once(features, len(parts))) as pool:
        for strength in STRENGTHS:
            held_out = partial(_held_out_loss, features, labels, fit, strength)
            losses[strength] = float(np.mean(list(pool.map(held_out, *zip(*parts, strict=True)))))
            say(f"strength C {strength:g}: log loss {losses[strength]:.4f} over {len(parts)} folds")
            tried = list(losses.values())
            if len(tried) > _LEAST and tried[-1] > tried[-2] > tried[-3]:
                break
    return losses


def _fits_at_once(features: Float64Array, folds: int) -> int:
    """Return how many folds are fitted side by side, each of which holds copies of the features."""
    available = memory_available()
    room = folds if available is None else int(available * _SHARE / max(1, _COPIES * features.nbytes))
    return max(1, min(folds, usable_cpus(), room))


def _parts(labels: Int64Array, seed: int) -> list[tuple[Int64Array, Int64Array]]:
    counts = np.bincount(labels)
    count = min(_FOLDS, int(counts.max()))
    if count < _LEAST:
        return []
    with warnings.catch_warnings():
        # A class with fewer images than folds is missing from some: those count without it.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        folds = StratifiedKFold(count, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels)
        parts = [(kept, held[np.isin(labels[held], labels[kept])]) for kept, held in folds]
    return [(kept, held) for kept, held in parts if len(held) and len(np.unique(labels[kept])) >= _LEAST]


def _held_out_loss(
    features: Float64Array, labels: Int64Array, fit: _Fit, strength: float, kept: Int64Array, held: Int64Array
) -> float:
    model = fit.on(features[kept], labels[kept], strength)
    logs = model.predict_log_proba(features[held])
    own = np.searchsorted(model.classes_, labels[held])
    losses = -logs[np.arange(len(held)), own]
    if not fit.balanced:
        return float(losses.mean())
    return float(np.mean([losses[labels[held] == label].mean() for label in np.unique(labels[held])]))


def _softmax_layer(model: LogisticRegression, num_classes: int) -> tuple[Float64Array, Float64Array]:
    """Return weight (K, F) and bias (K) whose softmax is the model's probability."""
    coefficients, intercept = model.coef_, np.broadcast_to(model.intercept_, (len(model.coef_),))
    if len(coefficients) == 1:  # of two classes scikit-learn keeps one row: the logit of the second
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercept = np.concatenate([-intercept / 2, intercept / 2])
    weight = np.zeros((num_classes, coefficients.shape[1]))
    bias = np.full(num_classes, _NEVER)
    weight[model.classes_], bias[model.classes_] = coefficients, intercept
    return weight, bias
