"""A comparison of two models as text, as CSV and as a self-contained HTML page."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.csv_text import csv_text
from torchstone_runtime.data.split import Split
from torchstone_runtime.evaluation.comparison import Comparison
from torchstone_runtime.metrics.answered import NO_ANSWER_TEXT
from torchstone_runtime.report import gallery
from torchstone_runtime.report.page import Markup, card, escape, facts, render_page, section, table, tag
from torchstone_runtime.text import percent, showable_lines

_LISTED: Final = 20
_ROWS: Final = 200
_PICTURES: Final = 60
_CLOSE: Final = 1.0
_FRAMES: Final = (
    "Green frame: B is right; dashed red frame: B is wrong. &#10003; and &#10007; say the same of A and of B."
)


def render_text(found: Comparison) -> str:
    """Return the comparison for the terminal."""
    first, second = found.metrics
    counts = found.counts
    alone = f"only A {counts['only_a_right']:,}, only B {counts['only_b_right']:,}"
    neither = counts["both_wrong_alike"] + counts["both_wrong_differently"]
    lines = [
        f"A         {found.a.what}",
        f"B         {found.b.what}",
        f"samples   {found.paired.samples:,}, of which A and B decide {found.paired.agreeing:,} alike",
        f"accuracy  A {first.accuracy:.4f}, B {second.accuracy:.4f}",
        f"macro F1  A {first.macro.f1:.4f}, B {second.macro.f1:.4f}",
        f"right     both {counts['both_right']:,}, {alone}, neither {neither:,}",
    ]
    if found.speed:
        lines.append(f"speed     {speed_in_words(found)}")
    lines += ["", found.verdict]
    if len(found.differing):
        lines += ["", f"{len(found.differing):,} samples are decided differently:"]
        lines += [_line(found, int(index)) for index in found.differing[:_LISTED]]
        if len(found.differing) > _LISTED:
            lines.append(f"  … and {len(found.differing) - _LISTED:,} more (--csv FILE or --json FILE lists them all)")
    return showable_lines(lines)


def speed_in_words(found: Comparison) -> str:
    """Return what the measured ratio of times says of B."""
    if found.speed is None:
        return "not measured"
    ratio, low, high = found.speed.value, found.speed.low, found.speed.high
    if low is None or high is None:
        return f"B at {ratio:.2f} x the speed of A (too few rounds for an interval)"
    shown = "" if low > _CLOSE or high < _CLOSE else "; no difference shown"
    return f"B at {ratio:.2f} x the speed of A (95% interval {low:.2f} to {high:.2f}{shown})"


def _line(found: Comparison, index: int) -> str:
    item = found.sample(index)
    return (
        f"  {item['id']}: {item['true']}; A {_answer(item['a'], item['a_probability'])}, "
        f"B {_answer(item['b'], item['b_probability'])}"
    )


def _answer(name: str | None, probability: float | None) -> str:
    return NO_ANSWER_TEXT if name is None else f"{name} {probability:.4f}"


def differing_csv(found: Comparison) -> str:
    """Return one row per sample on which the two differ."""
    columns = ("id", "true", "a", "a_probability", "b", "b_probability")
    samples = (found.sample(int(index)) for index in found.differing)
    return csv_text([columns, *([sample[column] for column in columns] for sample in samples)])


def render_html(found: Comparison, split: Split | None) -> str:
    """Return the comparison as a page; with pictures where the images are at hand.

    Args:
        found: the comparison.
        split: split that both were measured on, in the comparison's order; None for predictions files alone.

    Raises:
        ImageError: a picture that is shown can no longer be read.
    """
    body = [
        "<header><h1>B against A</h1>",
        f"<p>{escape(found.verdict)}</p></header>",
        _cards(found),
        section("How decisions changed", _changes(found)),
        section("Samples decided differently", _pictures(found, split) if split else _rows(found)),
        section("What was compared", facts(_facts(found, split))),
    ]
    return render_page("B against A", "\n".join(body))


def _cards(found: Comparison) -> str:
    first, second = found.metrics
    low, high = found.paired.interval_95
    cards = [
        card(percent(first.accuracy), "Accuracy of A"),
        card(percent(second.accuracy), "Accuracy of B"),
        card(f"{found.paired.difference:+.2%}", "B minus A", f"95% interval {low:+.2%} to {high:+.2%}"),
        card(f"{found.paired.p_value:.3g}", "p value", "exact McNemar"),
        card(f"{len(found.differing):,}", "Decided differently", f"of {found.paired.samples:,}"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _changes(found: Comparison) -> str:
    changes = found.changes()
    rows = [
        (item["true"], item["base"] or NO_ANSWER_TEXT, item["variant"] or NO_ANSWER_TEXT, f"{item['count']:,}")
        for item in changes[:_LISTED]
    ]
    if not rows:
        return "<p>No decision changed.</p>"
    shown = table(("true class", "A", "B", "samples"), rows, text=(1, 2), kind="whole")
    return _some(f"{len(rows)} most frequent", len(changes), len(rows)) + shown


def _some(which: str, total: int, shown: int) -> str:
    """Return which are shown of how many, where that is not all."""
    note = f"The {which} of {total:,}; --json FILE and --csv FILE list every sample."
    return tag("p", note, class_="soft") if shown < total else ""


def _rows(found: Comparison) -> str:
    shown = [found.sample(index) for index in found.differing[:_ROWS].tolist()]
    if not shown:
        return "<p>None.</p>"
    rows = [(item["id"], item["true"], *_cells(item, "a"), *_cells(item, "b")) for item in shown]
    head = ("sample", "true class", "A", "probability", "B", "probability")
    return _some(f"first {len(rows)}", len(found.differing), len(rows)) + table(head, rows, text=(1, 2, 4))


def _cells(item: Mapping[str, Any], side: str) -> tuple[str, str]:
    return (NO_ANSWER_TEXT, "-") if item[side] is None else (item[side], f"{item[f'{side}_probability']:.1%}")


def _pictures(found: Comparison, split: Split) -> str:
    chosen = found.differing[:_PICTURES]
    if not len(chosen):
        return "<p>None.</p>"
    # The store reads fastest in its own order.
    order = np.sort(chosen)
    pixels = dict(zip(order.tolist(), split.store.read(order), strict=True))
    tiles = "".join(_tile(found, index, pixels[index]) for index in chosen.tolist())
    note = tag("p", Markup(_FRAMES), class_="soft") + _some(f"first {len(chosen)}", len(found.differing), len(chosen))
    return f'{note}<div class="gallery">{tiles}</div>'


def _tile(found: Comparison, index: int, pixels: Uint8Array) -> str:
    item = found.sample(index)
    said = {side: item[side] or NO_ANSWER_TEXT for side in ("a", "b")}
    alt = f"sample {item['id']}: {item['true']}; A says {said['a']}, B says {said['b']}"
    lines = [f"truly <strong>{escape(item['true'])}</strong>"]
    for side in ("a", "b"):
        # Marked by a sign too: not everybody tells green from red.
        sign = "&#10003;" if item[side] == item["true"] else "&#10007;"
        share = "" if item[side] is None else f'<span class="soft">{item[f"{side}_probability"]:.1%}</span>'
        lines.append(f"{side.upper()} {sign} {escape(said[side])} {share}")
    lines.append(f'<span class="soft">sample {escape(item["id"])}</span>')
    frame = "right" if item["b"] == item["true"] else "wrong"
    image = gallery.thumbnail(pixels, alt)
    return f'<figure class="{frame}">{image}<figcaption>{"<br>".join(lines)}</figcaption></figure>'


def _facts(found: Comparison, split: Split | None) -> list[tuple[str, str]]:
    return [
        ("A", found.a.what),
        ("B", found.b.what),
        ("Samples", f"{found.paired.samples:,}"),
        *([("Fingerprint of the data", split.fingerprint)] if split else []),
        *([("Classes", split.mapped.summary())] if split and split.mapped else []),
        ("Speed", speed_in_words(found)),
    ]
