"""Colours of a result on a terminal; a pipe gets the same words without them."""

import re
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.cli.painted import painted

_CODE = re.compile(r"\x1b\[[\d;]*m")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("ok      python        CPython", "\x1b[32mok\x1b[0m      python        CPython"),
        ("broken  wheels        two", "\x1b[1;31mbroken\x1b[0m  wheels        two"),
        ("note    parts         none", "\x1b[33mnote\x1b[0m    parts         none"),
        ("gate FAILED: accuracy 0.8 < 0.9", "\x1b[1;31mgate FAILED\x1b[0m: accuracy 0.8 < 0.9"),
        ("class             precision  recall", "\x1b[1mclass             precision  recall\x1b[0m"),
        ("notes of a class  0.9 0.9", "notes of a class  0.9 0.9"),
    ],
)
def test_what_a_line_begins_with_is_painted(line: str, shown: str) -> None:
    """Only that, and in no other place of a line."""
    assert painted(line) == shown


def test_an_evaluation_has_the_same_words(digits_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With FORCE_COLOR, as on a terminal; a pipe is plain."""
    command = ("evaluate", digits_bundle, "--data", "digits", "--min-accuracy", "0.1")
    plain = run_in_process(*command).stdout
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = run_in_process(*command).stdout

    assert "\x1b" not in plain
    assert "\x1b[32mgate passed\x1b[0m" in shown
    assert _CODE.sub("", shown) == plain
