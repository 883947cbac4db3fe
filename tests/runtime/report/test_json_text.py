import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.json_text import json_text

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=60,
)


@given(ANYTHING, st.booleans())
def test_reads_back_to_the_same_data(data: Any, sort_keys: bool) -> None:  # noqa: ANN401 - any JSON
    """No value, key or order of an array is changed."""
    assert json.loads(json_text(data, sort_keys=sort_keys)) == data


@given(st.dictionaries(st.text(), NUMBERS))
def test_sorted_keys_give_the_same_text_whatever_the_order(data: dict[str, float]) -> None:
    """A bundle's bytes don't depend on the order in which its fields were made."""
    turned = dict(reversed(list(data.items())))
    assert json_text(data, sort_keys=True) == json_text(turned, sort_keys=True)


def test_a_small_matrix_has_a_line_a_row() -> None:
    """Ten classes can be read as a table."""
    rows = [[1000 * (row == column) for column in range(10)] for row in range(10)]
    lines = json_text({"matrix": rows}).splitlines()
    assert [json.loads(line.strip().rstrip(",")) for line in lines[2:-2]] == rows


def test_a_row_of_a_hundred_classes_is_not_broken() -> None:
    """A confusion matrix that is written whole has a line a row, whatever its size."""
    rows = [[12345] * 100] * 100
    lines = json_text({"matrix": rows}).splitlines()
    assert [json.loads(line.strip().rstrip(",")) for line in lines[2:-2]] == rows


def test_a_long_array_fills_its_lines() -> None:
    """A thousand numbers are some fifty lines, none of them long, and not a thousand."""
    lines = json_text({"numbers": list(range(1000))}).splitlines()
    assert 30 < len(lines) < 60
    assert max(map(len, lines)) < 120


def test_keys_are_written_as_json_writes_them() -> None:
    """Numbers become strings, as they do with Python's own `json`."""
    data = {1: "x" * 100, None: "y" * 100, 2.5: {"deep": 1}}
    assert json.loads(json_text(data)) == json.loads(json.dumps(data))


def test_a_number_that_is_not_finite_is_refused() -> None:
    """JSON has no sign for it: `strict_json` writes null."""
    with pytest.raises(ValueError, match="JSON"):
        json_text({"a": math.nan})


def test_objects_of_an_array_stand_on_lines_of_their_own() -> None:
    """The figures by class are a line a class."""
    classes = [{"class": f"number {index}", "precision": 1 / 3, "support": index} for index in range(20)]
    lines = json_text({"per_class": classes}).splitlines()
    assert [json.loads(line.strip().rstrip(",")) for line in lines[2:-2]] == classes


def test_indentation_takes_a_small_part_of_a_large_document() -> None:
    """Near the shortest form: a certificate of a thousand classes is mostly numbers."""
    data = {
        "a": {"b": {"cells": [[row, row + 1, 2] for row in range(5000)], "sums": [math.pi * n for n in range(999)]}}
    }
    assert len(json_text(data)) < 1.1 * len(json.dumps(data))
