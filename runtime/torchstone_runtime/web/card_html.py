"""A model card as HTML: of Markdown what cards are made of, everything else as the text that it is."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

from torchstone_runtime.report.page import Markup, escape, table, tag

_FRONT: Final = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_ESCAPED: Final = r"\\[!-/:-@\[-`{-~]|&#[0-9]{1,7};"
"""What stands in a card for a character that Markdown would read."""
_INLINE: Final = re.compile(rf"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\[\]]+)\]\([^)\s]*\)|({_ESCAPED})")
_BLOCK: Final = re.compile(r"```[^\n]*\n(?P<code>.*?)(?:\n```|\Z)|(?P<text>(?:(?!```)[^\n]+(?:\n|\Z))+)", re.DOTALL)
_HEADING: Final = re.compile(r"(#{1,6}) +(.*)")
_DEEPEST: Final = 6
_BELOW: Final = 2
"""By how many levels headings are moved down: the card is a part of a page."""


def card_html(markdown: str) -> Markup:
    """Return a card's headings, paragraphs, lists, tables and code as HTML.

    The front matter is left out, of links the text is kept, and no HTML of the card's own gets through.
    """
    return Markup("\n".join(_blocks(_FRONT.sub("", markdown.replace("\r\n", "\n")))))


def _blocks(text: str) -> Iterator[Markup]:
    for found in _BLOCK.finditer(text):
        if found["code"] is not None:
            yield tag("pre", Markup("\n".join(map(escape, found["code"].split("\n")))))
        else:
            yield from _lines(found["text"].strip().split("\n"))


def _lines(lines: list[str]) -> Iterator[Markup]:
    while lines:
        kind = _kind(lines[0])
        count = next((place for place, line in enumerate(lines) if _kind(line) != kind), len(lines))
        if kind == "heading":
            count = 1
        block, lines = lines[:count], lines[count:]
        yield _rendered(kind, block)


def _kind(line: str) -> str:
    if _HEADING.fullmatch(line):
        return "heading"
    if line.startswith("|"):
        return "table"
    return "list" if line.startswith("- ") else "paragraph"


def _rendered(kind: str, lines: list[str]) -> Markup:
    if kind == "heading":
        found = _HEADING.fullmatch(lines[0])
        level, title = (len(found[1]), found[2]) if found else (1, lines[0])
        return tag(f"h{min(level + _BELOW, _DEEPEST)}", _inline(title))
    if kind == "table":
        head, *rows = ([_inline(cell.strip()) for cell in line.strip().strip("|").split("|")] for line in lines)
        return table(head, [_as_wide(row, len(head)) for row in rows if not _is_rule(row)])
    if kind == "list":
        return tag("ul", Markup("".join(tag("li", _inline(line[2:])) for line in lines)))
    return tag("p", _inline("\n".join(lines)))


def _is_rule(row: list[Markup]) -> bool:
    return all(re.fullmatch(r":?-+:?", cell) for cell in row)


def _as_wide(row: list[Markup], width: int) -> list[Markup]:
    return [*row, *[Markup("")] * width][:width]


def _inline(text: str) -> Markup:
    parts, end = [], 0
    for found in _INLINE.finditer(text):
        parts.append(_escaped(text[end : found.start()]))
        code, strong, link, escaped = found.groups()
        if code:
            parts.append(tag("code", code))
        else:
            parts.append(tag("strong", _plain(strong)) if strong else _escaped(_plain(link or escaped)))
        end = found.end()
    return Markup("".join([*parts, _escaped(text[end:])]))


def _plain(text: str) -> str:
    return re.sub(_ESCAPED, lambda found: found[0][1:] if found[0][0] == "\\" else unescape(found[0]), text)


def _escaped(text: str) -> Markup:
    return Markup(" ".join(map(escape, text.split("\n"))))
