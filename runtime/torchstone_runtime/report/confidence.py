"""The reliability diagram and the confidence by class as SVG that is part of a page, light or dark as the page is."""

from typing import Final

from torchstone_runtime.evaluation.confidence_by_class import EXPLAINED, ClassConfidence, by_class, lowest_shown
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.calibration import BINS, FORMULA, SOURCE, Reliability
from torchstone_runtime.report.page import escape
from torchstone_runtime.text import counted

_MOST_CLASSES: Final = 60
_LONGEST_NAME: Final = 20
_TENTHS: Final = 10

# The reliability diagram: the unit square, and below it the counts.
_WIDTH: Final = 460
_LEFT, _RIGHT, _TOP, _SIDE = 48, 16, 10, 300
_BIN: Final = (_WIDTH - _LEFT - _RIGHT) / BINS
_FLOOR: Final = _TOP + _SIDE
_COUNTS_TOP, _COUNTS_HEIGHT = _FLOOR + 34, 46
_HEIGHT: Final = _COUNTS_TOP + _COUNTS_HEIGHT + 36

# The confidence by class: one row per class.
_ROW: Final = 27
_NAMES, _MEANS = 134, 52
_SCALE: Final = _WIDTH - _NAMES - _MEANS


def confidence_html(seen: LabelledPredictions) -> str:
    """Return the reliability diagram beside the confidence by class, each with words that say the same."""
    return f'<div class="charts">{_reliability(seen.reliability)}{_sureness(by_class(seen))}</div>'


def _reliability(found: Reliability) -> str:
    drawn = _grid() + "".join(_bin(found, index) for index in found.filled()) + _counts(found)
    return (
        '<div class="chart"><h3>Reliability diagram</h3>'
        f'<p>Expected calibration error: <strong>{found.error:.4f}</strong> <span class="soft">({escape(FORMULA)}; '
        f"{BINS} bins of equal width; {escape(SOURCE)})</span></p>{_key()}"
        f"{_svg(_HEIGHT, found.in_words(), drawn)}</div>"
    )


def _svg(height: int, alt: str, content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(alt)}">{content}</svg>'


def _key() -> str:
    kinds = {
        '<rect x="8" y="1" width="20" height="10"/>': "accuracy, with its 95% interval",
        _mark(18, 6): "mean confidence",
        '<path class="ideal" d="M0 6H36"/>': "perfectly calibrated",
    }
    items = (f'<span><svg viewBox="0 0 36 12" aria-hidden="true">{d}</svg>{name}</span>' for d, name in kinds.items())
    return f'<div class="key">{"".join(items)}</div>'


def _mark(x: float, y: float) -> str:
    return f'<path class="mark" d="M{x - 4.5:.1f} {y:.1f}l4.5-4.5 4.5 4.5-4.5 4.5z"/>'


def _y(share: float) -> float:
    return _FLOOR - _SIDE * share


def _grid() -> str:
    rows = "".join(
        f'<path d="M{_LEFT} {_y(tick / 5):.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_LEFT - 6}" y="{_y(tick / 5) + 4:.1f}" text-anchor="end">{tick * 20}%</text>'
        for tick in range(6)
    )
    columns = "".join(
        f'<text x="{_LEFT + _BIN * index:.1f}" y="{_FLOOR + 16}" text-anchor="middle">{index * 10}%</text>'
        for index in range(BINS + 1)
    )
    under = f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">probability of the predicted class</text>'
    return f'{rows}{columns}{under}<path class="ideal" d="M{_LEFT} {_y(0)}L{_WIDTH - _RIGHT} {_y(1)}"/>'


def _bin(found: Reliability, index: int) -> str:
    accuracy, confidence, count = found.accuracy[index], found.confidence[index], found.counts[index]
    left, middle = _LEFT + _BIN * (index + 0.06), _LEFT + _BIN * (index + 0.5)
    low, high = (_y(share) for share in found.interval(index))
    return (
        f"<g><title>{counted(int(count), 'image')}: {accuracy:.1%} right, {confidence:.1%} sure</title>"
        f'<rect x="{left:.1f}" y="{_y(accuracy):.1f}" width="{0.88 * _BIN:.1f}" height="{_SIDE * accuracy:.1f}"/>'
        f'<path class="spread" d="M{middle:.1f} {low:.1f}V{high:.1f}m-4 0h8M{middle - 4:.1f} {low:.1f}h8"/>'
        f"{_mark(middle, _y(confidence))}</g>"
    )


def _counts(found: Reliability) -> str:
    floor, highest = _COUNTS_TOP + _COUNTS_HEIGHT, max(1, int(found.counts.max()))
    bars = []
    for index, count in enumerate(found.counts):
        height = _COUNTS_HEIGHT * count / highest
        x, middle = _LEFT + _BIN * (index + 0.06), _LEFT + _BIN * (index + 0.5)
        bars.append(
            f'<rect class="count" x="{x:.1f}" y="{floor - height:.1f}" width="{0.88 * _BIN:.1f}" '
            f'height="{height:.1f}"/><text class="strong" x="{middle:.1f}" y="{floor + 14}" '
            f'text-anchor="middle">{count:,}</text>'
        )
    beside = f'<text x="{_LEFT - 6}" y="{floor + 14}" text-anchor="end">images</text>'
    return f'{"".join(bars)}{beside}<path d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>'


def _sureness(classes: list[ClassConfidence]) -> str:
    shown = classes[:_MOST_CLASSES]
    low, floor = lowest_shown(shown), _ROW * len(shown) + 22
    rows = "".join(_row(item, 22 + _ROW * index, low) for index, item in enumerate(shown))
    some = f", the {len(shown)} least sure of {len(classes):,}" if len(shown) < len(classes) else ""
    alt = f"Confidence by true class{some}, the least confident first. {'; '.join(item.in_words() for item in shown)}."
    return (
        f'<div class="chart"><h3>Confidence by class</h3><p>Probability of the predicted class, over the images of '
        f'each true class{some}; the least confident first. <span class="soft">{EXPLAINED}.</span></p>'
        f"{_svg(floor + 24, alt, _sureness_grid(low, floor) + rows)}</div>"
    )


def _sureness_grid(low: float, floor: int) -> str:
    step = 2 if low < 0.5 else 1  # noqa: PLR2004 - the middle of the scale: ten labels would touch each other
    ticks = [tenth / _TENTHS for tenth in range(_TENTHS, round(low * _TENTHS) - 1, -step)]
    lines = "".join(
        f'<path d="M{_x(tick, low):.1f} 14V{floor}"/>'
        f'<text x="{_x(tick, low):.1f}" y="{floor + 15}" text-anchor="middle">{tick:.0%}</text>'
        for tick in ticks
    )
    return f'{lines}<text x="{_WIDTH}" y="10" text-anchor="end">mean</text>'


def _x(share: float, low: float) -> float:
    return _NAMES + _SCALE * (min(share, 1) - low) / (1 - low)


def _row(item: ClassConfidence, top: int, low: float) -> str:
    middle = top + _ROW / 2
    first, left, median, right, last = (_x(share, low) for share in item.quantiles)
    name = item.name if len(item.name) <= _LONGEST_NAME else item.name[: _LONGEST_NAME - 1] + "…"
    return (
        f"<g><title>{escape(item.in_words())} ({counted(item.count, 'image')})</title>"
        f'<text class="strong" x="{_NAMES - 10}" y="{middle + 4:.1f}" text-anchor="end">{escape(name)}</text>'
        f'<path class="reach" d="M{first:.1f} {middle:.1f}H{last:.1f}"/>'
        f'<rect x="{left:.1f}" y="{middle - 7:.1f}" width="{max(right - left, 1):.1f}" height="14"/>'
        f"{_mark(median, middle)}"
        f'<text class="strong" x="{_WIDTH}" y="{middle + 4:.1f}" text-anchor="end">{item.mean:.1%}</text></g>'
    )
