"""Lines of a training as a terminal of 80 columns shows them."""

import textwrap
from typing import Final

COLUMNS: Final = 80
_LABEL: Final = 9
"""Characters of a label and the space behind it: `device   `, `not used `."""


def narrow(line: str) -> str:
    """Return a line in lines of at most 80 columns; what follows stands below the text, not below its label.

    A word that is longer, such as a path, stays whole, so that it can be copied.
    """
    if len(line) <= COLUMNS:
        return line
    indent = " " * (_LABEL if _has_label(line) else 2)
    return textwrap.fill(
        line, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False, drop_whitespace=True
    )


def _has_label(line: str) -> bool:
    label = line[:_LABEL]
    return label.endswith(" ") and label.strip().islower() and not line[_LABEL : _LABEL + 1].isspace()
