"""Results as a notebook shows them: a sentence and a small table, without style or script."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from torchstone_runtime.text import showable

_LONGEST: Final = 200
"""Characters of a cell: a name of thousands would fill the notebook."""


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; floats have four decimals, no number is a dash, long cells are cut, and everything is escaped."""
    cells = "".join(f"<th>{html_text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html_text(_text(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"


def html_sentence(text: str) -> str:
    """Return text as a paragraph, escaped."""
    return f"<p>{html_text(text, 4 * _LONGEST)}</p>"


def more_rows(total: int, shown: int, what: str) -> str:
    """Return a paragraph on the rows that a table leaves out; empty where there are none."""
    return html_sentence(f"and {total - shown:,} more {what}") if total > shown else ""


def html_text(text: str, longest: int = _LONGEST) -> str:
    """Return text as it may stand between tags, cut after `longest` characters."""
    return escape(showable(text if len(text) <= longest else f"{text[:longest]}…"))


def _text(value: object) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4f}"
    return str(value)
