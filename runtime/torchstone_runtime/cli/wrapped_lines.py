"""Lines of prose folded between words, below where the text began: results on a terminal, and all of a training."""

import re
import shutil
import textwrap
from typing import Final, TextIO

_GAP: Final = re.compile(r"(?:^| ) +(?=\S)")
"""What stands between the columns of a table, or between a label and its text."""
_COMMAND: Final = re.compile(r"(?:(?<=: )|(?<=^))(?:torchstone|torchrun|pip|python|git|npm) .*$")
"""What is to be copied, up to the end of its line."""
_FEWEST_WORDS: Final = 5
"""A cell of a table has fewer."""
_HANGING: Final = 2
_KEPT: Final = "\0"


def folded_for(stream: TextIO, text: str) -> str:
    """Return text as a stream is to get it: folded to the width of a terminal, else as it is."""
    return folded(text, shutil.get_terminal_size().columns) if stream.isatty() else text


def folded(text: str, columns: int, label: int = 0) -> str:
    """Return text with its lines of prose folded to a width; tables and commands stay whole, and so do long words.

    Args:
        text: lines.
        columns: the width.
        label: characters of the labels that lines may begin with, where the longest have only one space behind them.
    """
    return "\n".join(_folded_line(line, columns, label) for line in text.split("\n"))


def _folded_line(line: str, columns: int, label: int) -> str:
    start = max((gap.end() for gap in _GAP.finditer(line)), default=label if _is_label(line[:label]) else 0)
    if len(line) <= columns or start > columns // 2 or len(line[start:].split()) < _FEWEST_WORDS:
        return line
    prose = _COMMAND.sub(lambda found: found[0].replace(" ", _KEPT), line[start:])
    lines = textwrap.wrap(
        prose,
        columns - start,
        subsequent_indent="" if start else " " * _HANGING,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"\n{' ' * start}".join([line[:start] + lines[0], *lines[1:]]).replace(_KEPT, " ")


def _is_label(text: str) -> bool:
    return text.endswith(" ") and text.strip().islower()
