"""Names of files and classes in lines: CSV that reads back exactly, and text whose lines nobody forges."""

import csv
import io
import json
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.in_process import run_in_process
from helpers.support import write_image_tree
from torchstone_runtime.cli.prediction_formats import csv_header, csv_row, json_row, table_row
from torchstone_runtime.csv_text import csv_line, csv_text
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.text import showable, showable_lines

_ODD: Final = ",\"\n\r\t;\\ \x1b\x7f\x85\u2028\u2029\u202e\u2066\ufeff='é"
# Not an alphabet of st.text, which would take an odd character once in a hundred names.
NAMES: Final = st.lists(
    st.sampled_from(_ODD) | st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12
).map("".join)
TOP: Final = [('cat, \n"x"', 0.75), ("dog", 0.25)]
HOSTILE: Final = 'a\n"b",c\r\u2028\u202e\x1b[2J.png'


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_any_name_goes_through_csv(names: list[str]) -> None:
    """Read by Python's reader, from text whose newlines nobody translates."""
    lines = [csv_header(2), *(csv_row(name, TOP, unsure=False, count=2) for name in names)]
    header, *rows = csv.reader(io.StringIO("".join(f"{line}\n" for line in lines), newline=""), strict=True)
    assert [row[0] for row in rows] == names
    assert all(len(row) == len(header) and row[1] == row[3] == TOP[0][0] for row in rows)


@given(st.lists(st.lists(st.text(st.sampled_from(_ODD + "ab"), max_size=4), min_size=2, max_size=3), max_size=4))
def test_any_rows_go_through_csv(rows: list[list[str]]) -> None:
    """What the reports write goes the same way."""
    assert list(csv.reader(io.StringIO(csv_text(rows), newline=""), strict=True)) == rows


def test_what_needs_no_quotes_has_none() -> None:
    """Numbers and common names stay as they were."""
    assert csv_line(["photos/a b.png", 0.5, 1, ""]) == "photos/a b.png,0.5,1,"


@given(NAMES)
def test_a_record_of_json_is_one_line(name: str) -> None:
    """By every reader's idea of a line, and it reads back exactly."""
    line = json_row(name, TOP, unsure=False)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["path"] == name


@given(NAMES, NAMES)
def test_a_row_of_the_table_is_one_line(name: str, label: str) -> None:
    """With as many columns as there are, and no sign in it that steers a terminal."""
    line = table_row(name, [(label, 0.5)], unsure=False)
    assert len(line.splitlines()) == 1
    assert line.count("\t") == 1
    assert not set(line) & set("\x1b\x7f\u202e\u2066")


@given(st.lists(NAMES, min_size=1))
def test_lines_stay_as_many(names: list[str]) -> None:
    """No name makes two lines of one."""
    assert len(showable_lines(names).splitlines()) == len(names)


@pytest.mark.parametrize("name", ["größe", "猫 🐈\u200d⬛", "עברית\u200f", "a\u00a0b", "p\u0301"])
def test_honest_names_of_any_language_are_shown_as_they_are(name: str) -> None:
    """Joiners and implicit direction marks belong to words."""
    assert showable(name) == name


def test_the_lines_of_an_error_are_told_apart() -> None:
    """Details are printed below the problem, also after a way through another process."""
    error = DataError("It is so\nError: forged", "Do this.", ["one", "two"])
    assert error.lines == ["It is so\nError: forged", "  one", "  two", "Do this."]
    assert str(error) == "\n".join(error.lines)
    copy = error.__reduce__()
    assert copy[0](*copy[1]).lines == error.lines


@pytest.fixture
def odd(tmp_path: Path, digits: Split) -> Path:
    """A folder with a picture, and a file that is none, of hostile names."""
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / HOSTILE).write_bytes(encode_png(digits.store.read(np.arange(1))[0]))
    (folder / "bad\nError: forged.png").write_text("x")
    return folder


@pytest.mark.parametrize("form", ["table", "jsonl", "csv"])
def test_predict_tells_hostile_names(digits_bundle: Path, odd: Path, form: str) -> None:
    """One record, and messages on stderr each of whose lines is ours."""
    result = run_in_process("predict", digits_bundle, odd, "--format", form)
    assert result.returncode == 1
    assert not [line for line in result.stderr.splitlines() if line.startswith("Error: forged")]
    assert "bad\\nError: forged.png is not an image" in result.stderr
    expected = str(odd / HOSTILE)
    if form == "csv":
        assert [row[0] for row in csv.reader(io.StringIO(result.stdout))] == ["path", expected]
    elif form == "jsonl":
        assert json.loads(result.stdout)["path"] == str(odd / HOSTILE)
    else:
        assert len(result.stdout.splitlines()) == 1


def test_files_of_an_evaluation_hold_hostile_names(digits_bundle: Path, tmp_path: Path) -> None:
    """Ids in the predictions are read by the commands that take them, and no line of the terminal is forged."""
    root = write_image_tree(tmp_path / "data", {str(digit): 1 for digit in range(10)}, side=28)
    (root / "0" / "000.png").rename(root / "0" / HOSTILE)
    predictions, groups = tmp_path / "p.csv", tmp_path / "groups.csv"
    groups.write_text(csv_text([["id", "kind\nof it"], [f"0/{HOSTILE}", "x\nFAILED"]]), newline="")
    options = ("--data", f"folder:{root}", "--predictions", predictions, "--slice", groups)
    result = run_in_process("evaluate", digits_bundle, *options, "--report", tmp_path / "e.html")
    assert result.returncode == 0, result.stderr
    with predictions.open(newline="") as file:
        assert f"0/{HOSTILE}" in [row["id"] for row in csv.DictReader(file)]
    assert "kind\\nof it: x\\nFAILED" in result.stdout
    assert "\u202e" not in (tmp_path / "e.html").read_text()
    compared = run_in_process("compare", predictions, predictions)
    assert compared.returncode == 0, compared.stderr
