"""What a training tells fits a terminal of 80 columns."""

import io
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.cli.wrapped_lines import folded
from torchstone_train.data.describe import shortened
from torchstone_train.training.progress import COLUMNS, LABEL, Progress


@pytest.mark.parametrize("label", ["weights  ", "not used "])
def test_a_long_line_goes_on_below_its_text(label: str) -> None:
    """Not below its label."""
    line = f"{label}{'the last layer was replaced by a fresh one of 40 outputs ' * 2}".rstrip()

    first, second = folded(line, COLUMNS, LABEL).splitlines()

    assert max(len(first), len(second)) <= COLUMNS
    assert second.startswith(" " * 9 + "was replaced ")
    assert f"{first} {second.strip()}" == line


def test_a_path_stays_whole() -> None:
    """So that it can be copied."""
    path = f"/data/{'long-name/' * 9}report.html"

    assert path in folded(f"report   {path}", COLUMNS, LABEL).split()


def test_lines_fit_a_terminal_that_is_narrower(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the table, which would not be one in two lines."""
    monkeypatch.setenv("COLUMNS", "50")
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]

    Progress(1, stream).say("weights  the last layer was replaced by a fresh one of 40 outputs")

    assert [len(line) <= 50 for line in stream.getvalue().splitlines()] == [True, True]


@pytest.mark.parametrize("tty", [True, False])
def test_a_warning_in_a_log_is_one_line(tty: bool) -> None:
    """A search finds it whole; on a terminal it is cut between words."""
    stream = io.StringIO()
    stream.isatty = lambda: tty  # type: ignore[method-assign]

    Progress(1, stream).say(f"Warning: {'one of the images is in the train split too ' * 3}")

    assert len(stream.getvalue().splitlines()) == (2 if tty else 1)


def test_a_coloured_row_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signs of a colour take no columns: header and best row of an epoch stay whole on a terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    figures = {"loss": 0.5, "accuracy": 0.9, "f1_macro": 0.9}
    row = {"epoch": 1, "best": True, "learning_rate": 0.001, "images_per_second": 9.0, "seconds": 9000.0}

    Progress(3, stream).end_epoch({**row, "train": figures, "validation": figures})

    assert "\x1b[" in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_class_names_fit_with_their_label(count: int) -> None:
    """Those in the middle are left out; the first and the last one are there."""
    names = [f"class number {number}" for number in range(count)]

    assert len(f"classes  {shortened(names)}") <= 80
    assert shortened(names).startswith(names[0])
    assert shortened(names).endswith(names[-1])


def test_every_line_of_a_training_fits(tiny_npz: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what tells of the data, of the table and of the end."""
    monkeypatch.chdir(tmp_path)

    result = run_in_process("train", "mlp", "--data", f"npz:{tiny_npz}", "--epochs", "2", "--out", "r")

    lines = result.stderr.splitlines()
    assert {line[:9].strip() for line in lines} >= {"device", "images", "classes", "balance", "epoch", "report"}
    assert [line for line in lines if len(line) > 80 and str(tiny_npz) not in line] == []
