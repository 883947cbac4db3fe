"""JSON of many megabytes, read piece by piece: the parser of Python's library lets no other thread work meanwhile."""

import json
import re
from typing import Any, Final

LARGE: Final = 256 << 10
"""Characters from which JSON is read by pieces."""
_PIECE: Final = 1 << 16
"""Characters of numbers that are read at once, in about a millisecond."""
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_NUMBERS: Final = re.compile(r"[-+0-9.eE, \t\n\r]+")


def decode_large(decoder: json.JSONDecoder, text: str) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """Return what `decoder.decode(text)` returns; lists of numbers, the bulk of such a text, are read by pieces.

    Raises:
        ValueError: it is not valid JSON.
        RecursionError: it is nested too deeply.
    """
    value, end = _Reader(decoder, text).value(_after_space(text, 0))
    end = _after_space(text, end)
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


class _Reader:
    def __init__(self, decoder: json.JSONDecoder, text: str) -> None:
        self._decoder, self._text = decoder, text

    def value(self, at: int) -> tuple[Any, int]:
        """Return the value that begins at a place, and where it ends."""
        first = self._text[at : at + 1]
        if first == "[":
            return self._list(at + 1)
        if first == "{":
            return self._object(at + 1)
        return self._decoder.raw_decode(self._text, at)

    def _list(self, at: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = _after_space(self._text, at)
        if self._text.startswith("]", at):
            return found, at + 1
        while True:
            at = self._elements(found, at)
            more, at = self._goes_on(at, "]")
            if not more:
                return found, at

    def _elements(self, found: list[Any], at: int) -> int:
        """Read an element, or many if they are numbers; return where the last of them ends."""
        numbers = _NUMBERS.match(self._text, at, at + _PIECE)
        if numbers is not None:
            end = numbers.end()
            if not self._text.startswith("]", end):  # the last one may go on
                end = self._text.rfind(",", at, end)
            if end > at:
                try:
                    found += self._decoder.decode(f"[{self._text[at:end]}]")
                except json.JSONDecodeError as error:
                    raise json.JSONDecodeError(error.msg, self._text, at + error.pos - 1) from error
                return end
        element, at = self.value(at)
        found.append(element)
        return at

    def _object(self, at: int) -> tuple[dict[str, Any], int]:
        found: dict[str, Any] = {}
        at = _after_space(self._text, at)
        if self._text.startswith("}", at):
            return found, at + 1
        while True:
            if not self._text.startswith('"', at):
                raise json.JSONDecodeError("Expecting property name enclosed in double quotes", self._text, at)
            name, at = self._decoder.raw_decode(self._text, at)
            at = _after_space(self._text, at)
            if not self._text.startswith(":", at):
                raise json.JSONDecodeError("Expecting ':' delimiter", self._text, at)
            found[name], at = self.value(_after_space(self._text, at + 1))
            more, at = self._goes_on(at, "}")
            if not more:
                return found, at

    def _goes_on(self, at: int, end: str) -> tuple[bool, int]:
        """Return whether another item follows, and where it begins or the whole ends."""
        at = _after_space(self._text, at)
        if self._text.startswith(end, at):
            return False, at + 1
        if not self._text.startswith(",", at):
            raise json.JSONDecodeError("Expecting ',' delimiter", self._text, at)
        return True, _after_space(self._text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found is not None else at
