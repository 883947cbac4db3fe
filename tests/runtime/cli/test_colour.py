"""When text is coloured: on a terminal, unless the environment says otherwise."""

import os
import pty

import pytest

from torchstone_runtime.cli.colour import shows_colour

NAMES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "TERM")


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
        ({"CLICOLOR": "0"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, False, False),
    ],
)
def test_environment_decides(
    environment: dict[str, str], terminal: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real pseudo-terminal, or a pipe."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ends = pty.openpty() if terminal else os.pipe()
    try:
        with os.fdopen(os.dup(ends[1]), "w") as stream:
            assert shows_colour(stream) is expected
    finally:
        for end in ends:
            os.close(end)
