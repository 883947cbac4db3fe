"""The frame of a self-contained HTML page: no network, light and dark, printable, read as well without its script."""

import base64
import hashlib
import html
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.encode import encode_jpeg, encode_png
from torchstone_runtime.text import showable

_SCRIPT: Final = "report.js"


class Markup(str):
    """Text that is HTML already: what escapes text leaves it as it is."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Return text as it may stand in a page, between tags or in a quoted attribute.

    What would reorder or break what stands around it is shown as an escape: see `torchstone_runtime.text.showable`.
    """
    return text if isinstance(text, Markup) else Markup(html.escape(showable(text)))


def tag(name: str, content: str = "", **attributes: str) -> Markup:
    """Return an element; its content and the values of its attributes are escaped where they are not `Markup`.

    An empty attribute is left out. `class_` is called so because `class` is a word of Python, `aria_label` because a
    name in Python has no hyphen.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value
    )
    return Markup(f"<{name}{given}>{escape(content)}</{name}>")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    foot: Iterable[Sequence[str]] = (),
    text: Collection[int] = (),
    kind: str = "",
    ascending: str = "",
    name: str = "",
) -> Markup:
    """Return a table, which scrolls sideways where it is wider than the page.

    Args:
        head: names of the columns.
        rows: a cell a column, escaped where it is not `Markup`.
        foot: rows that sum the others up.
        text: columns that are set as text; the first one always is.
        kind: the table's class in the style sheet; the rows of a `whole` one are not named by their first cell.
        ascending: name of the column by which the rows ascend already.
        name: name of the table for a screen reader; where there is only one, its section names it.
    """
    kinds = ["text" if column in text else "" for column in range(len(head))]
    ways = [{"aria-sort": "ascending"} if ascending and name == ascending else {} for name in head]
    names = "".join(map(_column, head, kinds, ways))
    top = tag("thead", tag("tr", Markup(names)))
    first = "td" if kind == "whole" else "th"
    bottom = tag("tfoot", _rows(foot, kinds, first)) if foot else ""
    content = Markup(top + tag("tbody", _rows(rows, kinds, first)) + bottom)
    return tag("div", tag("table", content, class_=kind, aria_label=name), class_="scroll")


def _column(name: str, kind: str, way: Mapping[str, str]) -> Markup:
    # A column of bars has no name: an empty heading would be read out as one.
    return tag("th", name, scope="col", class_=kind, **way) if name else tag("td", class_=kind)


def _rows(rows: Iterable[Sequence[str]], kinds: Sequence[str], first: str) -> Markup:
    lines = (
        tag(first, row[0], scope="row" if first == "th" else "", class_=kinds[0])
        + "".join(tag("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True))
        for row in rows
    )
    return Markup("".join(tag("tr", Markup(line)) for line in lines))


@cache
def style_sheet(package: str, name: str) -> str:
    """Return a style sheet, or a script, that a package holds."""
    return (files(package) / name).read_text(encoding="utf-8")


def render_page(title: str, body: str, style: str = "") -> str:
    """Return a whole HTML document around `body`, which must be escaped already, with `style` after the page's own."""
    start, end = page_frame(title, style)
    return start + body + end


def page_frame(title: str, style: str = "") -> tuple[str, str]:
    """Return what comes before and what comes after the body of a document that is written piece by piece."""
    start = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">\n'
        # An empty icon keeps a browser from asking a server for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{style_sheet(__package__, 'style.css')}{style}</style>\n</head>\n<body>\n<main>\n"
    )
    return start, f"\n</main>\n<script>{style_sheet(__package__, _SCRIPT)}</script>\n</body>\n</html>\n"


def _policy() -> str:
    """Return what a browser may load: pictures in the page, styles, and the one script whose hash this is."""
    digest = hashlib.sha256(style_sheet(__package__, _SCRIPT).encode()).digest()
    script = f"script-src 'sha256-{base64.b64encode(digest).decode()}'"
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; {script}; base-uri 'none'; form-action 'none'"
    )


def card(value: str, label: str, note: str = "") -> str:
    """Return a figure with its name, for a `.cards` row."""
    extra = tag("span", note, class_="soft") if note else ""
    return f'<div class="card"><span class="soft">{escape(label)}</span><b>{escape(value)}</b>{extra}</div>'


def section(title: str, content: str) -> str:
    """Return a titled section; `content` must be escaped already.

    A screen reader names its tables by the title where they have no name of their own.
    """
    named = re.sub("<table(?![^>]*aria-label=)", lambda _: f'<table aria-label="{escape(title)}"', content)
    return f"<section>\n<h2>{escape(title)}</h2>\n{named}\n</section>"


def facts(pairs: list[tuple[str, str]]) -> str:
    """Return a definition list of name and value."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>"


def picture(pixels: Uint8Array, alt: str, *, exact: bool = True) -> str:
    """Return a (C, H, W) uint8 array as an image that is part of the page; where it need not be exact, as JPEG."""
    kind, content = ("png", encode_png(pixels)) if exact else ("jpeg", encode_jpeg(pixels))
    return f'<img src="data:image/{kind};base64,{base64.b64encode(content).decode()}" alt="{escape(alt)}">'
