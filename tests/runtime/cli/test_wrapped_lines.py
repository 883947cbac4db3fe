"""Lines wider than a terminal are folded where they are prose."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from torchstone_runtime.cli.wrapped_lines import folded

WIDTH = 40


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("short enough", "short enough"),
        (
            "Note: the quick brown fox jumps over the lazy dog again",
            "Note: the quick brown fox jumps over the\n  lazy dog again",
        ),
        (
            "accuracy of fp32: validation 0.9333 (12,000 images)",
            "accuracy of fp32: validation 0.9333\n  (12,000 images)",
        ),
        (
            "model     stone-m: int8 on cpu, two threads, and tiles of four",
            "model     stone-m: int8 on cpu, two\n          threads, and tiles of four",
        ),
        (
            "note    parts  the quick brown fox jumps over the lazy dog",
            "note    parts  the quick brown fox jumps\n               over the lazy dog",
        ),
    ],
)
def test_prose_is_folded_below_its_beginning(line: str, shown: str) -> None:
    """Not below its label."""
    assert folded(line, WIDTH) == shown


@pytest.mark.parametrize(
    "line",
    [
        "Ankle boot          0.9123  0.9456  0.9286  1000",
        f"wrote {'folder/' * 8}report.html",
        "torchstone export runs/photos-1 --int8 --data folder:photos",
    ],
)
def test_tables_paths_and_commands_stay_whole(line: str) -> None:
    """They are compared by columns, or copied."""
    assert folded(line, WIDTH) == line


def test_a_command_behind_advice_is_on_a_line_of_its_own() -> None:
    """So that it can be copied."""
    line = "Export it first: torchstone export /home/somebody/runs/photos-1"
    assert folded(line, WIDTH).split("\n") == [
        "Export it first:",
        "  torchstone export /home/somebody/runs/photos-1",
    ]


def test_a_pipe_gets_whole_lines_and_a_terminal_folded_ones(digits_bundle: Path) -> None:
    """The same words."""
    command = (sys.executable, "-m", "torchstone_runtime", "inspect", str(digits_bundle))
    environment = {**os.environ, "COLUMNS": "60", "NO_COLOR": "1"}
    plain = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    leader, follower = pty.openpty()
    with subprocess.Popen(command, stdout=follower, stderr=subprocess.DEVNULL, env=environment) as process:
        os.close(follower)
        shown = b""
        while part := _read(leader):
            shown += part
    assert process.returncode == 0
    assert max(map(len, plain.splitlines())) > 60
    assert shown.decode().split() == plain.split()
    assert len(shown.decode().splitlines()) > len(plain.splitlines())


def _read(handle: int) -> bytes:
    try:
        return os.read(handle, 1 << 16)
    except OSError:  # Linux's way to tell that nobody writes any more
        return b""
