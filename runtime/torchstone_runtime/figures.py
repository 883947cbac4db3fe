"""Every figure of an evaluation with its 95% interval, by name: what reports show and gates judge."""

from collections.abc import Mapping
from typing import Final

from torchstone_runtime.bootstrap import F1Intervals
from torchstone_runtime.metrics import Metrics, wilson_interval
from torchstone_runtime.scores import Measured, ProbabilityScores
from torchstone_runtime.selective import OperatingPoint

ACCURACY: Final = "accuracy"
MACRO_F1: Final = "macro F1"
WEIGHTED_F1: Final = "weighted F1"
LOG_LOSS: Final = "log loss"
BRIER: Final = "Brier score"
CALIBRATION_ERROR: Final = "calibration error"


def overall_figures(metrics: Metrics, f1: F1Intervals, scores: ProbabilityScores) -> dict[str, Measured]:
    """Return the figures of the whole split.

    Intervals: Wilson for shares of samples, bootstrap for F1, normal for means over the samples.
    """
    return {
        ACCURACY: Measured(metrics.accuracy, metrics.accuracy_interval),
        **{f"top-{k} accuracy": measured for k, measured in scores.top_k.items()},
        MACRO_F1: Measured(metrics.macro.f1, f1.macro),
        WEIGHTED_F1: Measured(metrics.weighted.f1, f1.weighted),
        LOG_LOSS: scores.log_loss,
        BRIER: scores.brier,
    }


def class_figures(metrics: Metrics, f1: F1Intervals) -> dict[str, Measured]:
    """Return `recall of NAME`, `precision of NAME` and `F1 of NAME` for every class.

    A share of no samples at all is 0, with the interval 0 to 1.
    """
    figures = {}
    hits_of, predicted = metrics.cells.hits.tolist(), metrics.cells.chosen.tolist()
    for index, item in enumerate(metrics.per_class):
        hits = hits_of[index]
        figures[f"recall of {item.name}"] = Measured(item.recall, wilson_interval(hits, item.support))
        figures[f"precision of {item.name}"] = Measured(item.precision, wilson_interval(hits, predicted[index]))
        figures[f"F1 of {item.name}"] = Measured(item.f1, f1.per_class[index])
    return figures


def coverage_figure(point: OperatingPoint, samples: int) -> Measured:
    """Return the coverage of an operating point with its Wilson interval."""
    return Measured(point.coverage, wilson_interval(round(point.coverage * samples), samples))


def figures_json(figures: Mapping[str, Measured]) -> dict[str, object]:
    """Return figures as JSON data, by name."""
    return {name: measured.to_json() for name, measured in figures.items()}
