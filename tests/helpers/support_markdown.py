"""Markdown read back: the names that a reader sees, and a check that nothing of them is markup."""

import re
from typing import Final

HOSTILE: Final = (
    *("a|b", "\\", "\\|", "`x`", "``` x", "<b>x</b>", "<!-- x", "<script>alert(1)</script>", "&amp;", "&#124;"),
    *(
        "*x*",
        "__x__",
        "~~x~~",
        "$x$",
        ":smile:",
        "[x](http://e.org)",
        "![x](y)",
        "http://e.org",
        "www.e.org",
        "a@e.org",
    ),
    *("# x", "- x", "+ x", "1. x", "2) x", "===", "---", "> x", "    x", "x\n\n# y", "x\r| y |", "\u2028x", "a\u202eb"),
)
_PIECE: Final = re.compile(r"\\([!-/:-@\[-`{-~])|&#(\d+);|(.)", re.DOTALL)
_LIVE: Final = frozenset("\\`*_[]!<>&|~$@\n\r")


def read_back(markdown: str) -> str:
    """Return what a reader of CommonMark shows of a text, which must hold no sign that could be markup."""
    shown = []
    for escaped, entity, plain in _PIECE.findall(markdown):
        assert plain not in _LIVE, markdown
        shown.append(escaped or (chr(int(entity)) if entity else plain))
    return "".join(shown)


def read_table(markdown: str, header: str) -> list[list[str]]:
    """Return the cells of the rows of the table with that header, read back."""
    _, _, rest = markdown.partition(f"{header}\n")
    rows = []
    for line in rest.splitlines()[1:]:
        if not line.startswith("| "):
            break
        rows.append([read_back(cell) for cell in line.removeprefix("| ").removesuffix(" |").split(" | ")])
    return rows
