"""Curves over epochs as SVG that is part of a page: its colours follow the page's, light or dark."""

import math
from collections.abc import Sequence
from typing import Final

from torchstone_runtime.report.page import escape
from torchstone_runtime.text import counted
from torchstone_train.training.observer import Record

CURVES: Final = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "precision_macro": "Precision (macro)",
    "recall_macro": "Recall (macro)",
    "f1_macro": "F1 (macro)",
}
"""Keys of a history record's `train` and `validation`, and how each is called."""

_PARTS: Final = ("train", "validation")
_WIDTH: Final = 340
_HEIGHT: Final = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 30
_TICKS: Final = 5
_EPOCH_LABELS: Final = 8
_MOST_MARKERS: Final = 40
"""Epochs up to which each has a marker."""
_POINT: Final = 2


def curves_html(history: Sequence[Record], best_epoch: int) -> str:
    """Return a chart for each of `CURVES` over at least one epoch, with a legend; best epoch 0 stands for none."""
    charts = "".join(_chart(history, key, name, best_epoch) for key, name in CURVES.items())
    names = {"train": "training", "validation": "validation"}
    names |= {"best": f"best epoch ({best_epoch})"} if best_epoch else {}
    key = "".join(
        f'<span><svg viewBox="0 0 36 12" aria-hidden="true"><path class="{kind}" d="M0 6H36"/></svg>{name}</span>'
        for kind, name in names.items()
    )
    return f'<div class="key">{key}</div><div class="curves">{charts}</div>'


def _chart(history: Sequence[Record], key: str, name: str, best_epoch: int) -> str:
    epochs = [int(record["epoch"]) for record in history]
    series = {part: [float(record[part][key]) for record in history] for part in _PARTS}
    ticks = _ticks([value for values in series.values() for value in values], is_share=key != "loss")
    scale = _Scale(epochs[0], epochs[-1], ticks[0], ticks[-1])
    marks = "".join(_line(part, epochs, values, scale) for part, values in series.items())
    alt = f"{name} over {counted(len(epochs), 'epoch')}; last: " + ", ".join(
        f"{p} {v[-1]:.4f}" for p, v in series.items()
    )
    return (
        f'<div class="curve"><h3>{escape(name)}</h3>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(alt)}">'
        f"{_axes(epochs, ticks, scale, is_share=key != 'loss')}{_best(best_epoch, scale)}{marks}</svg></div>"
    )


class _Scale:
    """Epochs and values to coordinates of the chart."""

    def __init__(self, first: int, last: int, low: float, high: float) -> None:
        self._first, self._last, self._low, self._high = first, last, low, high

    def x(self, epoch: int) -> float:
        width = _WIDTH - _LEFT - _RIGHT
        if self._first == self._last:
            return _LEFT + width / 2
        return _LEFT + 8 + (width - 16) * (epoch - self._first) / (self._last - self._first)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * (value - self._low) / (self._high - self._low)


def _line(part: str, epochs: list[int], values: list[float], scale: _Scale) -> str:
    points = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if math.isfinite(value)]
    path = " ".join(f"{scale.x(epoch):.1f},{scale.y(value):.1f}" for epoch, value in points)
    drawn = f'<path class="{part}" d="M{path}"/>' if len(points) >= _POINT else ""
    if len(points) > _MOST_MARKERS:
        return drawn
    return drawn + "".join(
        f'<circle class="{part}" cx="{scale.x(epoch):.1f}" cy="{scale.y(value):.1f}" r="2.6">'
        f"<title>epoch {epoch}, {part}: {value:.4f}</title></circle>"
        for epoch, value in points
    )


def _axes(epochs: list[int], ticks: list[float], scale: _Scale, *, is_share: bool) -> str:
    rows = "".join(
        f'<path class="grid" d="M{_LEFT} {scale.y(tick):.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{scale.y(tick) + 3.5:.1f}" text-anchor="end">'
        f"{f'{100 * tick:g}%' if is_share else f'{tick:g}'}</text>"
        for tick in ticks
    )
    step = math.ceil(len(epochs) / _EPOCH_LABELS)
    columns = "".join(
        f'<text x="{scale.x(epoch):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{epoch}</text>'
        for epoch in epochs[::step]
    )
    return f'{rows}{columns}<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 1}" text-anchor="end">epoch</text>'


def _best(epoch: int, scale: _Scale) -> str:
    return f'<path class="best" d="M{scale.x(epoch):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>' if epoch else ""


def _ticks(values: list[float], *, is_share: bool) -> list[float]:
    """Return round numbers that enclose the values: from 0 for a loss, up to 1 for a share."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = (min(finite), 1.0) if is_share else (0.0, max(finite))
    span = max(high - low, 0.01 if is_share else 1e-6)
    step = _round_step(span / _TICKS)
    first = math.floor((high - span) / step + 1e-9) if is_share else 0
    last = math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(max(first, 0), last + 1)]


def _round_step(rough: float) -> float:
    power: float = 10 ** math.floor(math.log10(rough))
    return power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
