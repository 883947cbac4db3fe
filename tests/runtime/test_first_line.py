import pytest

from torchstone_runtime.errors import first_line


@pytest.mark.parametrize(
    ("message", "expected"), [("one\ntwo", "one"), ("\n  one \ntwo", "one "), ("", "ValueError"), (" \n", "ValueError")]
)
def test_first_line_is_never_empty(message: str, expected: str) -> None:
    """An exception without words is named by its class."""
    assert first_line(ValueError(message)) == expected
