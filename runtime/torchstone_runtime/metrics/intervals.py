"""Every figure of an evaluation with its 95% interval, by name: what reports show and gates judge."""

from collections.abc import Mapping
from typing import Final

from torchstone_runtime.metrics.binomial import share_interval
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.metrics.f1_intervals import F1Intervals
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.metrics.selective import SelectiveCurve

ACCURACY: Final = "accuracy"
MACRO_F1: Final = "macro F1"
WEIGHTED_F1: Final = "weighted F1"
LOG_LOSS: Final = "log loss"
BRIER: Final = "Brier score"
CALIBRATION_ERROR: Final = "calibration error"


def overall_figures(metrics: Metrics, f1: F1Intervals, scores: ProbabilityScores) -> dict[str, Estimate]:
    """Return the figures of the whole split.

    Intervals: Clopper-Pearson for shares of samples, see `f1_intervals` for F1, `bounded_mean` for means.
    """
    return {
        ACCURACY: Estimate(metrics.accuracy, metrics.accuracy_interval),
        **{f"top-{k} accuracy": measured for k, measured in scores.top_k.items()},
        MACRO_F1: Estimate(metrics.macro.f1, f1.macro),
        WEIGHTED_F1: Estimate(metrics.weighted.f1, f1.weighted),
        LOG_LOSS: scores.log_loss,
        BRIER: scores.brier,
    }


def class_figures(metrics: Metrics, f1: F1Intervals) -> dict[str, Estimate]:
    """Return `recall of NAME`, `precision of NAME` and `F1 of NAME` for every class.

    A share of no samples at all is 0, with the interval 0 to 1.
    """
    figures = {}
    hits_of, predicted = metrics.cells.hits.tolist(), metrics.cells.chosen.tolist()
    for index, item in enumerate(metrics.per_class):
        hits = hits_of[index]
        figures[f"recall of {item.name}"] = Estimate(item.recall, share_interval(hits, item.support))
        figures[f"precision of {item.name}"] = Estimate(item.precision, share_interval(hits, predicted[index]))
        figures[f"F1 of {item.name}"] = Estimate(item.f1, f1.per_class[index])
    return figures


def coverage_figure(curve: SelectiveCurve, required: float) -> Estimate:
    """Return the largest coverage at a required precision, with the interval of that of the population."""
    return Estimate(curve.at_precision(required).coverage, curve.coverage_interval(required))


def interval_words(figure: Estimate) -> str:
    """Return the interval for people, as in `95% interval 0.9084 to 0.9194`."""
    if figure.interval is None:
        return "no 95% interval"
    return "95% interval {:.4f} to {:.4f}".format(*figure.interval)


def figures_json(figures: Mapping[str, Estimate]) -> dict[str, object]:
    """Return figures as JSON data, by name."""
    return {name: measured.to_json() for name, measured in figures.items()}
