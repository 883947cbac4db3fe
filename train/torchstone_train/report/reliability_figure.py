"""The reliability diagram, drawn by matplotlib."""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.calibration import BINS, SOURCE, Reliability
from torchstone_train.report.drawing import BLUE, INK, ORANGE, SOFT, set_titles

_WIDTH: Final = 1 / BINS
_MIDDLES: Final = (np.arange(BINS) + 0.5) / BINS
_MARK: Final[dict[str, Any]] = {"marker": "D", "s": 28, "color": ORANGE, "edgecolor": "white", "zorder": 4}


def reliability_figure(seen: LabelledPredictions, title: str) -> Figure:
    """Draw accuracy and mean confidence in each bin, and below it how many images the bin holds."""
    found = seen.reliability
    figure = Figure(figsize=(7.2, 7.4), layout="constrained")
    set_titles(figure, title, f"Reliability: expected calibration error {found.error:.4f}")
    upper, lower = figure.subplots(2, 1, height_ratios=(3.2, 1), sharex=True)
    _draw_accuracy(upper, found)
    _draw_counts(lower, found)
    return figure


def _draw_accuracy(axis: Axes, found: Reliability) -> None:
    shown = found.filled()
    accuracy, confidence = found.accuracy[shown], found.confidence[shown]
    spread = np.abs(np.array([found.interval(index) for index in shown]).T - accuracy)
    axis.plot((0, 1), (0, 1), color=SOFT, linewidth=1.2, linestyle=(0, (4, 3)), label="perfectly calibrated")
    axis.bar(_MIDDLES[shown], accuracy, 0.9 * _WIDTH, color=BLUE, alpha=0.75, label="accuracy, with its 95% interval")
    axis.errorbar(_MIDDLES[shown], accuracy, yerr=spread, fmt="none", ecolor=INK, elinewidth=1, capsize=3)
    axis.scatter(_MIDDLES[shown], confidence, label="mean confidence", **_MARK)
    axis.set_ylim(0, 1.02)
    axis.set_xlim(0, 1)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.set_ylabel("share of the bin's images")
    axis.grid(axis="y")
    axis.set_axisbelow(True)
    axis.legend(loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, frameon=False, fontsize=8.5)


def _draw_counts(axis: Axes, found: Reliability) -> None:
    axis.bar(_MIDDLES, found.counts, 0.9 * _WIDTH, color=SOFT)
    for middle, count in zip(_MIDDLES, found.counts, strict=True):
        text = f"{count:,}\n{count / found.counts.sum():.1%}" if count else "0"
        axis.annotate(text, (middle, count), (0, 2), textcoords="offset points", ha="center", fontsize=7.5)
    axis.set_ylim(0, 1.35 * found.counts.max())
    axis.set_xticks(np.arange(BINS + 1) / BINS)
    axis.xaxis.set_major_formatter(PercentFormatter(1))
    axis.set_yticks([])
    axis.set_xlabel(f"confidence: probability of the predicted class\nerror over {BINS} equal bins as in {SOURCE}")
    axis.set_ylabel("images")
