"""The layout of JSON for people and programs: what fits on a line stands on one, and long arrays fill their lines."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

_WIDTH: Final = 110
"""Characters that a line may have beside its indentation; a longer string stands on a line of its own."""
_NUMBERS: Final = 100
"""Numbers of an array that stand on one line, however wide: a row of a confusion matrix is not broken."""
_SMALL: Final = 3
"""Items of an array that may share its line with others."""


def json_text(
    data: Any,  # noqa: ANN401 - whatever JSON can hold
    *,
    indent: int = 2,
    sort_keys: bool = False,
    ensure_ascii: bool = False,
) -> str:
    """Return JSON data as text without a final line feed.

    Objects and arrays that fit are written on one line, and so are arrays of up to 100 numbers. A longer array of
    scalars, or of arrays of up to three, fills its lines; of others each item begins a line.

    Args:
        data: data made of dictionaries, lists, tuples, strings, finite numbers, booleans and None.
        indent: spaces by which each level is indented.
        sort_keys: whether the keys of objects are written in alphabetical order.
        ensure_ascii: whether characters beyond ASCII are escaped.

    Raises:
        ValueError: a number is not finite.
    """
    encoder = json.JSONEncoder(sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False)
    return "\n".join(_Layout(encoder, " " * indent).lines(data))


class _Layout:
    def __init__(self, encoder: json.JSONEncoder, indent: str) -> None:
        self._encode = encoder.encode
        self._sort_keys = encoder.sort_keys
        self._indent = indent

    def lines(self, data: Any) -> list[str]:  # noqa: ANN401 - whatever JSON can hold
        """Return the lines of a value, the first of which may follow its key."""
        text = self._encode(data)
        if len(text) <= _WIDTH or not isinstance(data, Mapping | list | tuple):
            return [text]
        if isinstance(data, Mapping):
            return ["{", *self._indented(_one_by_one(self._members(data))), "}"]
        if len(data) <= _NUMBERS and all(map(_is_number, data)):
            return [text]
        if all(map(_is_small, data)):
            return ["[", *self._indented(_filled(map(self._encode, data))), "]"]
        return ["[", *self._indented(_one_by_one([self.lines(item) for item in data])), "]"]

    def _members(self, data: Mapping[Any, Any]) -> list[list[str]]:
        members = []
        for key in sorted(data) if self._sort_keys else data:
            name = self._encode({key: 0})[1:-4]  # as JSON writes keys that are no strings
            first, *others = self.lines(data[key])
            members.append([f"{name}: {first}", *others])
        return members

    def _indented(self, lines: Iterable[str]) -> Iterator[str]:
        return (self._indent + line for line in lines)


def _is_number(item: Any) -> bool:  # noqa: ANN401 - as above
    return isinstance(item, int | float)


def _is_small(item: Any) -> bool:  # noqa: ANN401 - as above
    if isinstance(item, list | tuple):
        return len(item) <= _SMALL and not any(isinstance(part, Mapping | list | tuple) for part in item)
    return not isinstance(item, Mapping)


def _one_by_one(members: list[list[str]]) -> Iterator[str]:
    for number, lines in enumerate(members, start=1):
        yield from lines[:-1]
        yield lines[-1] + ("," if number < len(members) else "")


def _filled(items: Iterable[str]) -> Iterator[str]:
    line = ""
    for item in items:
        if line and len(line) + len(item) + 2 > _WIDTH:
            yield line + ","
            line = item
        else:
            line = f"{line}, {item}" if line else item
    yield line
