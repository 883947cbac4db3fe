"""The frame of a self-contained HTML page: no script, no network, light and dark, printable."""

import base64
import html
from typing import Final

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.decode import encode_jpeg, encode_png
from torchstone_runtime.text import showable

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6675; --paper: #fff; --card: #f5f6f8; --line: #dfe3e8;
  --hit: 33, 118, 174; --miss: 201, 70, 50; --mark: #b3541e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaee; --soft: #9aa4b2; --paper: #14181e; --card: #1d232b;
  --line: #313944; --hit: 52, 138, 196; --miss: 226, 100, 80;
  --mark: #f0a35e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; }
p { margin: .3rem 0; } .soft { color: var(--soft); } code { font-size: .9em; overflow-wrap: anywhere; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin-top: 1.4rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .7rem 1rem; flex: 1 1 9rem; }
.card b { display: block; font-size: 1.55rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.text, th.text { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; align-items: center; margin-bottom: .8rem; }
.key svg { width: 2.2rem; height: .8rem; vertical-align: middle; margin-right: .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; } dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { body { padding: 1.2rem 1rem 3rem; } th, td { padding: .28rem .4rem; }
  table { font-size: .88rem; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
@media print { html { font-size: 11px; } body { max-width: none; padding: 0; font-size: 11px; }
  h2, h3, h2 + p { break-after: avoid; } .scroll { overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""


def escape(text: str) -> str:
    """Return text as it may stand in a page, between tags or in a quoted attribute.

    What would reorder or break what stands around it is shown as an escape: see `torchstone_runtime.text.showable`.
    """
    return html.escape(showable(text))


def render_page(title: str, body: str, style: str = "") -> str:
    """Return a whole HTML document around `body`, which must be escaped already, with `style` after the page's own."""
    start, end = page_frame(title, style)
    return start + body + end


def page_frame(title: str, style: str = "") -> tuple[str, str]:
    """Return what comes before and what comes after the body of a document that is written piece by piece."""
    start = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # An empty icon keeps a browser from asking a server for one.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
    )
    return start, "\n</body>\n</html>\n"


def card(value: str, label: str, note: str = "") -> str:
    """Return a figure with its name, for a `.cards` row."""
    extra = f'<span class="soft">{escape(note)}</span>' if note else ""
    return f'<div class="card"><span class="soft">{escape(label)}</span><b>{escape(value)}</b>{extra}</div>'


def section(title: str, content: str) -> str:
    """Return a titled section; `content` must be escaped already."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def facts(pairs: list[tuple[str, str]]) -> str:
    """Return a definition list of name and value."""
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
    return f"<dl>{items}</dl>"


def picture(pixels: Uint8Array, alt: str, *, exact: bool = True) -> str:
    """Return a (C, H, W) uint8 array as an image that is part of the page; where it need not be exact, as JPEG."""
    kind, content = ("png", encode_png(pixels)) if exact else ("jpeg", encode_jpeg(pixels))
    return f'<img src="data:image/{kind};base64,{base64.b64encode(content).decode()}" alt="{escape(alt)}">'
