"""Names that come from outside and are shown to people."""

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

_UNSHOWABLE: Final = frozenset({"Cc", "Cs"})
_NEARLY_ALL: Final = 0.99995
_DECIMALS: Final = range(4, 18)
_LINE_ENDS: Final = frozenset("\u2028\u2029")
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Explicit directional formatting (Unicode Standard Annex 9): it reorders what stands around a name."""


def is_showable(text: str) -> bool:
    """Return whether text holds neither control characters, which could steer a terminal, nor lone surrogates.

    Lone surrogates (Python's stand-in for bytes that are not UTF-8) cannot be written to any UTF-8 file.
    """
    return not any(unicodedata.category(character) in _UNSHOWABLE for character in text)


def shortlist(names: Sequence[str], most: int = 20) -> str:
    """Return names separated by commas; of more than `most` the first ones, and how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which is given in the singular: 1 image, 1,200 images, 2 classes."""
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number:,} {noun if number == 1 else plural}"


def percent(share: float) -> str:
    """Return a share in percent with two decimals; only a share of 1 is 100, and only one of 0 is 0."""
    if _NEARLY_ALL <= share < 1:
        return ">99.99%"
    return "<0.01%" if 0 < share <= 1 - _NEARLY_ALL else f"{share:.2%}"


def told_apart(first: float, second: float) -> tuple[str, str]:
    """Return two numbers with four decimals, or with as many more as tell different ones apart."""
    if first == second:
        return f"{first:.4f}", f"{second:.4f}"
    written = ((f"{first:.{decimals}f}", f"{second:.{decimals}f}") for decimals in _DECIMALS)
    return next((pair for pair in written if pair[0] != pair[1]), (repr(first), repr(second)))


def showable(text: str) -> str:
    """Return text on one line that changes nothing around it, whatever it holds.

    Control characters, line and paragraph separators, explicit directional formatting and lone surrogates are written
    as Python escapes.
    """
    return "".join(_shown(character) for character in text) if _needs_care(text) else text


def showable_lines(lines: Iterable[str]) -> str:
    """Return lines, each made showable, with newlines between: no name in one of them can forge another."""
    return "\n".join(map(showable, lines))


def _needs_care(text: str) -> bool:
    # Most text is printable, and Python knows that at once.
    return not text.isprintable()


def _shown(character: str) -> str:
    odd = unicodedata.category(character) in _UNSHOWABLE or character in _LINE_ENDS or character in _DIRECTIONS
    return character.encode("unicode_escape").decode() if odd else character
