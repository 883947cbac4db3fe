"""Colour for a person at a terminal; pipes and logs get the plain text."""

import os
from typing import Final, TextIO

_RESET: Final = "\x1b[0m"
_CODES: Final = {"bold": "\x1b[1m", "good": "\x1b[32m", "odd": "\x1b[33m", "bad": "\x1b[1;31m"}
"""Select Graphic Rendition, ECMA-48 8.3.117."""


def shows_colour(stream: TextIO) -> bool:
    """Tell whether text on a stream may be coloured.

    `NO_COLOR` (no-color.org) forbids it; else `FORCE_COLOR` or `CLICOLOR_FORCE` asks for it, unless 0; else it takes a
    terminal that is not `TERM=dumb`, and `CLICOLOR` that is not 0.
    """
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") not in ("", "0") for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb" and os.environ.get("CLICOLOR") != "0"


def coloured(text: str, style: str) -> str:
    """Return text in a style: `bold`, `good` for what went well, `odd` for what to look at, `bad` for what failed."""
    return f"{_CODES[style]}{text}{_RESET}"
