"""Results as a terminal shows them: heads of tables in bold, what is sound in green, what is not in red."""

import re
from typing import Final

from torchstone_runtime.cli.colour import coloured

_PAINTED: Final = (
    (re.compile(r"^(?:ok(?=  )|verified$|gate passed(?=:))"), "good"),
    (re.compile(r"^(?:note|WARNING)(?=  )"), "odd"),
    (re.compile(r"^(?:(?:broken|ERROR)(?=  )|not verified$|gate FAILED(?=:))"), "bad"),
    (re.compile(r"^(?:class|group|corruption|true class| *batch threads)  +\S.*$"), "bold"),
    (re.compile(r"^Confusion matrix(?= \()"), "bold"),
    (re.compile(r"^accuracy  +(?:A |[\d.]+).*$"), "bold"),
)
"""Where a line begins so, that much of it has the style; the first that fits."""


def painted(text: str) -> str:
    """Return the text of a result with its colours; the words are the same."""
    return "\n".join(map(_painted_line, text.split("\n")))


def _painted_line(line: str) -> str:
    for pattern, style in _PAINTED:
        if found := pattern.match(line):
            return coloured(found[0], style) + line[found.end() :]
    return line
