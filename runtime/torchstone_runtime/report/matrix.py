"""The confusion matrix of a report: counts, and shares of each true class."""

import math
from collections.abc import Collection
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Float64Array, Uint8Array
from torchstone_runtime.metrics.classification import Metrics
from torchstone_runtime.report.gallery import pair_id
from torchstone_runtime.report.page import Markup, picture, table, tag
from torchstone_runtime.text import counted

_MOST_PIXELS: Final = 400
"""Rows of the picture: of more classes, neighbours share one."""
_MOST_CLASSES: Final = 60
"""Classes up to which the matrix is a table; a thousand would make it a million cells."""
_MOST_UPRIGHT: Final = 20
"""Classes up to which a sheet of paper need not be turned for the table."""
_MOST_PAIRS: Final = 100
_SHORT_NAME: Final = 3
"""Characters up to which a column's name is not turned."""
_SMALLEST_PERCENT, _LARGEST_PERCENT = 0.05, 99.95
_LIGHTEST, _STRENGTH = 0.06, 0.74
_HIT, _MISS = np.array([33, 118, 174]), np.array([201, 70, 50])
_WHITE: Final = 255


def matrix_html(metrics: Metrics, linked: Collection[tuple[int, int]] = ()) -> str:
    """Return the matrix twice, as counts and normalised by row; of very many classes, as a picture.

    Args:
        metrics: metrics that hold the matrix.
        linked: cells, by true and predicted class, of whose pictures the page shows some: these lead there.
    """
    note = "Rows are true classes, columns predicted ones; the shade is the share of the row."
    if len(metrics.per_class) > _MOST_CLASSES:
        return f'<p class="soft">{note}</p>{_heat(metrics)}'
    shares = row_shares(metrics)
    texts = {
        "Images": [[f"{count:,}" for count in row] for row in metrics.confusion.tolist()],
        "Share of each true class, in %": [[_percent(share) for share in row] for row in shares.tolist()],
    }
    tables = (
        f"<div>{tag('h3', name)}{_table(metrics, shares, linked, cells, name)}</div>" for name, cells in texts.items()
    )
    count = len(metrics.per_class)
    size = {"style": f"--columns:{count}"} if count > _MOST_UPRIGHT else {}
    return tag("p", note, class_="soft") + tag("div", Markup("".join(tables)), class_="matrices", **size)


def pairs_html(metrics: Metrics) -> str:
    """Return the pairs of classes that are confused most often, where the matrix is too large for a table."""
    if len(metrics.per_class) <= _MOST_CLASSES:
        return ""
    pairs, total = metrics.most_confused(_MOST_PAIRS), len(metrics.cells.confusions().count)
    support = {item.name: item.support for item in metrics.per_class}
    rows = [
        (true, predicted, f"{count:,}", f"{count / support[true]:.1%} of {support[true]:,}")
        for true, predicted, count in pairs
    ]
    left = total - len(pairs)
    more = f'<p class="soft">{counted(left, "more pair")} can be written as CSV and JSON.</p>' if left else ""
    title = f"The {len(pairs)} of {counted(total, 'pair')} confused most often"
    found = table(("true class", "taken for", "images", "of the class"), rows, text=[1], kind="whole", name=title)
    return f"<details><summary>{title}</summary>{found}{more}</details>"


def row_shares(metrics: Metrics, largest: int | None = None) -> Float64Array:
    """Return the confusion matrix divided by each true class's samples, float64 [K, K]; 0 where it has none.

    Args:
        metrics: metrics that hold the confusion matrix.
        largest: largest number of rows: neighbours of more classes are taken together, as by `ConfusionCells.blocks`.
    """
    counts = metrics.cells.blocks(largest or metrics.cells.num_classes)
    shares: Float64Array = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _percent(share: float) -> str:
    percent = 100 * share
    if percent < _SMALLEST_PERCENT:
        return "<0.1"
    if share < 1 and percent >= _LARGEST_PERCENT:
        return ">99.9"  # only a row without a mistake is 100
    return f"{percent:.1f}" if share < 1 else "100"


def _table(
    metrics: Metrics, shares: Float64Array, linked: Collection[tuple[int, int]], texts: list[list[str]], name: str
) -> str:
    head = "".join(map(_column, metrics.class_names))
    rows = []
    for i, true in enumerate(metrics.class_names):
        cells = "".join(_cell(metrics, shares, _linked(texts[i][j], (i, j), linked), (i, j)) for j in range(len(texts)))
        rows.append(f"<tr>{tag('th', tag('span', true), scope='row', title=true)}{cells}</tr>")
    top = f'<thead><tr><th scope="col">true \\ predicted</th>{head}</tr></thead>'
    content = Markup(f"{top}<tbody>{''.join(rows)}</tbody>")
    whole = tag("table", content, class_="matrix", aria_label=f"Confusion matrix: {name}")
    return tag("div", whole, class_="scroll")


def _linked(text: str, place: tuple[int, int], linked: Collection[tuple[int, int]]) -> str:
    return tag("a", text, href=f"#{pair_id(*place)}") if place in linked else text


def _column(name: str) -> str:
    kind = "turned" if len(name) > _SHORT_NAME else ""
    return tag("th", tag("span", name), scope="col", class_=kind, title=name)


def _cell(metrics: Metrics, shares: Float64Array, text: str, place: tuple[int, int]) -> str:
    true, predicted = (metrics.class_names[index] for index in place)
    count, share = int(metrics.confusion[place]), float(shares[place])
    if not count:
        return tag("td", "0", class_="zero")
    verdict = f"{true}, recognised" if true == predicted else f"{true} taken for {predicted}"
    title = f"{verdict}: {count:,} ({share:.1%} of the row)"
    kind = "hit" if true == predicted else "miss"
    return tag("td", text, class_=kind, style=f"--share:{_shade(share):.3f}", title=title)


def _shade(share: float) -> float:
    # The square root makes rare confusions visible beside a diagonal near 1.
    return _LIGHTEST + _STRENGTH * math.sqrt(share)


def _heat(metrics: Metrics) -> str:
    count, shares = len(metrics.per_class), row_shares(metrics, _MOST_PIXELS)
    step = metrics.cells.block_size(_MOST_PIXELS)
    pixel = "a pixel is a cell" if step == 1 else f"a pixel stands for {step} x {step} cells"
    alt = f"Confusion matrix of {count:,} classes, {metrics.accuracy:.2%} of the images on the diagonal"
    return (
        f'<p class="soft">{count:,} classes are too many for a table: here {pixel}. '
        f'The counts are available as CSV and JSON.</p><div class="heat">{picture(heat_map(shares), alt)}</div>'
    )


def heat_map(shares: Float64Array) -> Uint8Array:
    """Return shares (0 to 1) [K, K] as a picture of a pixel a cell on white, uint8 [3, K, K]."""
    shade: Float64Array = np.where(shares > 0, _LIGHTEST + _STRENGTH * np.sqrt(shares), 0.0)
    ink = np.where(np.eye(len(shares), dtype=bool), _HIT[:, None, None], _MISS[:, None, None])
    pixels: Uint8Array = np.rint(_WHITE + shade * (ink - _WHITE)).astype(np.uint8)
    return pixels
