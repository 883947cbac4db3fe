"""Metrics by group."""

from pathlib import Path

import numpy as np
import pytest

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.slices import NO_GROUP, Grouping

NAMES = ("a", "b")
SPLIT = Split("test", ArrayStore(np.zeros((4, 1, 2, 2), np.uint8)), np.array([0, 1, 0, 1]), NAMES, list("wxyz"))
PREDICTED = np.array([0, 1, 1, 1])


def read(tmp_path: Path, text: str) -> Grouping:
    """Read a CSV of that content."""
    path = tmp_path / "groups.csv"
    path.write_text(text)
    return Grouping.read(path, SPLIT)


def test_each_group_is_measured_on_its_samples_alone(tmp_path: Path) -> None:
    """In any order of rows; the least accurate group first."""
    slices = read(tmp_path, "id,site\nz,north\ny,south\nx,north\nw,south\n").measure(SPLIT, PREDICTED)
    assert [(item.value, item.metrics.total, item.metrics.accuracy) for item in slices] == [
        ("south", 2, 0.5),
        ("north", 2, 1.0),
    ]


def test_every_column_divides_the_samples_by_itself(tmp_path: Path) -> None:
    """Two columns, two divisions of all samples."""
    slices = read(tmp_path, "id,site,light\nw,n,day\nx,n,night\ny,s,day\nz,s,night\n").measure(SPLIT, PREDICTED)
    assert {(item.column, item.value) for item in slices} == {
        ("site", "n"),
        ("site", "s"),
        ("light", "day"),
        ("light", "night"),
    }


def test_samples_without_a_row_or_value_are_a_group_of_their_own(tmp_path: Path) -> None:
    """Nothing is left out silently."""
    slices = read(tmp_path, "id,site\nw,n\nx,\n").measure(SPLIT, PREDICTED)
    assert {item.value: item.metrics.total for item in slices} == {"n": 1, NO_GROUP: 3}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "found: nothing"),
        ("id\nw\n", "one for each grouping"),
        ("sample,site\nw,n\n", "a column 'id'"),
        ("id,site,site\nw,n,n\n", "all different"),
        ("id,site\nw,n\nw,s\n", "occurs twice"),
        ("id,site\nq,n\n", "not of the split"),
        ("id,site\nw\n", "row 2: 1 fields"),
        ('id,site\n"w,n\n', "cannot be read as CSV"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason(tmp_path: Path, text: str, told: str) -> None:
    """One message that names what is wrong."""
    with pytest.raises(DataError, match=told):
        read(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """As a mistake of the user's."""
    with pytest.raises(DataError, match="cannot be read"):
        Grouping.read(tmp_path / "none.csv", SPLIT)
