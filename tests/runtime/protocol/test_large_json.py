"""JSON that is read piece by piece says the same as the library's parser, and lets other threads work."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.protocol import large_json
from torchstone_runtime.protocol.body import parse_object
from torchstone_runtime.protocol.large_json import LARGE, decode_large
from torchstone_runtime.protocol.request_error import RequestError

_DECODER = json.JSONDecoder()
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.lists(NUMBERS, max_size=50) | st.dictionaries(st.text(), inner),
)


@pytest.fixture(params=[8, 40, 1 << 16])
def _piece(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of several sizes."""
    monkeypatch.setattr(large_json, "_PIECE", request.param)


def outcome(read: Any, text: str) -> object:  # noqa: ANN401 - one of two parsers
    """Return what a parser makes of a text: its value, written again so that 1 and 1.0 differ, or that it is none."""
    try:
        return repr(read(text))
    except ValueError:
        return ValueError


@pytest.mark.usefixtures("_piece")
@pytest.mark.parametrize("indent", [None, 1])
def test_it_reads_what_the_library_reads(indent: int | None) -> None:
    """Whatever the values, and with spaces or without."""

    @given(VALUES)
    def check(value: object) -> None:
        text = json.dumps(value, indent=indent)
        assert outcome(lambda given: decode_large(_DECODER, given), text) == outcome(_DECODER.decode, text)

    check()


@pytest.mark.usefixtures("_piece")
def test_it_refuses_what_the_library_refuses() -> None:
    """Texts of JSON's own signs, most of which are none."""

    @given(st.text('[]{},:"1-.e \n', max_size=30) | st.text("[],1 -", max_size=12))
    def check(text: str) -> None:
        assert outcome(lambda given: decode_large(_DECODER, given), text) == outcome(_DECODER.decode, text)

    check()


def test_no_piece_is_long() -> None:
    """A list of a million numbers is read in many pieces, between which other threads are let in."""
    pieces: list[int] = []

    class Noting(json.JSONDecoder):
        def decode(self, s: str, *rest: Any) -> Any:  # noqa: ANN401 - as the base class
            pieces.append(len(s))
            return super().decode(s, *rest)

    text = json.dumps({"inputs": list(range(300)) * 3000})
    assert len(text) > 10 * LARGE
    assert decode_large(Noting(), text) == json.loads(text)
    assert len(pieces) > 40
    assert max(pieces) <= (1 << 16) + 2


def test_faults_of_large_texts_are_told() -> None:
    """As of small ones."""
    with pytest.raises(RequestError, match="not valid JSON"):
        parse_object(b'{"a": [' + b"1, " * LARGE + b"nonsense]}")
    with pytest.raises(RequestError, match="nested too deeply"):
        parse_object(b"[" * LARGE)
