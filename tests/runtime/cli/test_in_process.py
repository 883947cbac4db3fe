"""A command that is run in the process of the tests does what it does in one of its own."""

import os
import sys
import warnings
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.support import run_torchstone
from torchstone_runtime.cli.inspect import inspect


@pytest.mark.parametrize(
    "arguments", [("inspect",), ("inspect", "--json"), ("verify", "--data", "digit"), ("predict", "nowhere.png")]
)
def test_code_and_text_are_those_of_a_process(digits_bundle: Path, arguments: tuple[str, ...]) -> None:
    """On both streams, of a command that succeeds and of one that is refused."""
    command: tuple[str | Path, ...] = (arguments[0], digits_bundle, *arguments[1:])
    here, there = run_in_process(*command), run_torchstone(*command)

    assert (here.returncode, here.stdout, here.stderr) == (there.returncode, there.stdout, there.stderr)


def test_the_process_is_left_as_it_was(digits_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by a command that changes everything and ends in a fault of Torchstone's own."""

    def upset(*_: object, **__: object) -> None:
        os.environ["TORCHSTONE_UPSET"] = "1"
        os.chdir(tmp_path)
        warnings.simplefilter("ignore")
        print("heard")  # noqa: T201 - on the stream that a command has
        raise RuntimeError

    before = (sys.stdin, sys.stdout, sys.stderr, Path.cwd(), dict(os.environ), list(warnings.filters))
    monkeypatch.setattr(inspect, "callback", upset)
    result = run_in_process("inspect", digits_bundle, cwd=digits_bundle)
    after = (sys.stdin, sys.stdout, sys.stderr, Path.cwd(), dict(os.environ), list(warnings.filters))

    assert (result.returncode, result.stdout) == (70, "heard\n")
    assert "bug in Torchstone" in result.stderr
    assert after == before


def test_stdin_is_what_was_given(digits_bundle: Path) -> None:
    """And empty where nothing was."""
    assert "nowhere.png does not exist" in run_in_process("predict", digits_bundle, "-", stdin=b"nowhere.png\n").stderr
    assert "stdin is empty" in run_in_process("predict", digits_bundle, "-").stderr
