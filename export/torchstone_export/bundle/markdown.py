"""Names from elsewhere in Markdown (CommonMark with GitHub's tables), and strings in its YAML front matter."""

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from torchstone_runtime.text import showable

_SPECIAL: Final = re.compile(r"[\\`*_\[\]!<>&|~$@]|:(?=\S)|(?<=[^\W\d])\.(?=[^\W\d])|^[#+=-]")
"""What may begin emphasis, code, links, images, HTML, entities, cells, strikethrough, formulas, addresses, emoji; and,
at the beginning of a line, headings, lists and rules."""
_NUMBERED: Final = re.compile(r"^(\d{1,9})([.)])(?=\s|$)")
_BACKSLASHED: Final = frozenset("\\`*_[]!#+-.")
"""What a backslash escapes in every dialect; all else is written as an entity, on which they agree too."""
_NOT_IN_YAML: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_LAST_OF_FIRST_PLANE: Final = 0xFFFF


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line: in a paragraph, a heading, a list or a table's cell.

    Spaces at both ends, which Markdown drops or takes for a code block, are left out. Control characters and what
    would reorder the line are shown as escapes (`torchstone_runtime.text.showable`).
    """
    escaped = _SPECIAL.sub(lambda found: _escape(found[0]), showable(text).strip(" "))
    return _NUMBERED.sub(r"\1\\\2", escaped)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table, one line per row; cells are Markdown already."""
    return [f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows)]


def yaml_string(text: str) -> str:
    """Return a YAML string (1.1 or 1.2) in quotes that stands for exactly this text."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(_yaml_escape(sign) if unicodedata.category(sign) in _NOT_IN_YAML else sign for sign in quoted)


def _yaml_escape(sign: str) -> str:
    code = ord(sign)
    return f"\\u{code:04x}" if code <= _LAST_OF_FIRST_PLANE else f"\\U{code:08x}"


def _escape(sign: str) -> str:
    return f"\\{sign}" if sign in _BACKSLASHED else f"&#{ord(sign)};"
