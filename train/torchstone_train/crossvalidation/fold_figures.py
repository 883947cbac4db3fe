"""What a cross-validation found: figures of each fold, their mean and deviation, and all predictions together."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.classification import Metrics, metrics_from_labels
from torchstone_runtime.text import showable
from torchstone_train.crossvalidation.held_out import HeldOutPredictions

FIGURES: Final = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1_macro": "macro F1",
    "loss": "loss",
}
"""The figures of a fold, with their names for people."""
_WORST: Final = 5


@dataclass(frozen=True, slots=True)
class FoldResult:
    """How the network of a fold does on the images that it has not seen.

    Attributes:
        number: number of the fold, from 1.
        samples: number of these images.
        figures: accuracy, balanced accuracy, macro F1 and cross-entropy, by name.
        run: name of the directory of its run.
        best_epoch: epoch whose weights were kept, chosen on other images.
    """

    number: int
    samples: int
    figures: dict[str, float]
    run: str
    best_epoch: int

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        found = {"fold": self.number, "run": self.run, "samples": self.samples, "best_epoch": self.best_epoch}
        return {**found, **self.figures}


@dataclass(frozen=True, eq=False, slots=True)
class CrossValidationResult:
    """All folds, and the predictions for all training images.

    Attributes:
        folds: results of the folds, two or more.
        seen: the decisions for all training images, each by a network that has not seen it.
        held_out: these predictions with all logits.
    """

    folds: Sequence[FoldResult]
    seen: LabelledPredictions
    held_out: HeldOutPredictions

    def mean(self, name: str) -> float:
        """Return the mean of a figure over the folds."""
        return statistics.fmean(fold.figures[name] for fold in self.folds)

    def deviation(self, name: str) -> float:
        """Return the standard deviation of a figure over the folds, of the sample (divisor: folds less one)."""
        return statistics.stdev(fold.figures[name] for fold in self.folds)

    def to_json(self) -> dict[str, Any]:
        """Return the results as JSON data."""
        return {
            "mean": {name: self.mean(name) for name in FIGURES},
            "standard_deviation": {name: self.deviation(name) for name in FIGURES},
            "folds": [fold.to_json() for fold in self.folds],
            "all_images": self.seen.metrics.to_json(),
        }

    def lines(self) -> Iterator[str]:
        """Yield what a person reads."""
        for fold in self.folds:
            figures = "  ".join(f"{name} {fold.figures[key]:.4f}" for key, name in FIGURES.items())
            yield f"fold {fold.number:<4} {fold.samples:,} images  {figures}"
        shown = "  ".join(f"{name} {self.mean(key):.4f} ± {self.deviation(key):.4f}" for key, name in FIGURES.items())
        yield f"mean      {shown}  (± standard deviation over {len(self.folds)} folds)"
        metrics = self.seen.metrics
        low, high = metrics.accuracy_interval
        yield (
            f"all       {metrics.total:,} images, each by a network that has not seen it: accuracy "
            f"{metrics.accuracy:.4f} (95%: {low:.4f} to {high:.4f})"
        )
        worst = ", ".join(f"{showable(item.name)} {item.f1:.3f}" for item in metrics.lowest_f1(_WORST))
        yield f"lowest F1 {worst}"
        confused = [
            f"{showable(true)} as {showable(predicted)} ({count})"
            for true, predicted, count in metrics.most_confused(_WORST)
        ]
        yield f"confused  {', '.join(confused) or 'none'}"


def fold_figures(held_out: HeldOutPredictions, number: int) -> tuple[int, dict[str, float]]:
    """Return the number of images of a fold, and the figures on them; classes that it lacks don't count."""
    chosen = np.flatnonzero(held_out.fold == number)
    labels, logits = held_out.split.labels[chosen], held_out.logits[chosen].astype(np.float64)
    metrics: Metrics = metrics_from_labels(labels, logits.argmax(axis=1), held_out.split.class_names)
    shifted = logits - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    figures = {
        "accuracy": metrics.accuracy,
        "balanced_accuracy": metrics.balanced_accuracy,
        "f1_macro": metrics.macro.f1,
        "loss": float(losses.mean()) if len(losses) else math.nan,
    }
    return len(chosen), figures


def decisions(held_out: HeldOutPredictions) -> LabelledPredictions:
    """Return the decisions for all images, with their confidence."""
    predicted = held_out.logits.argmax(axis=1).astype(np.int64)
    return LabelledPredictions.of(held_out.split, predicted, held_out.probabilities.max(axis=1))
