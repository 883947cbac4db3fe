"""Predictions files, read back and brought into one order."""

import re
from pathlib import Path

import numpy as np
import pytest

from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.evaluation.predictions_file import read_predictions

HEADER = "id,true,predicted,correct,margin,p(cat),p(dog)\n"
TWO = HEADER + "1,cat,dog,0,0.4,0.3,0.7\n2,dog,dog,1,0.8,0.1,0.9\n"


def read(tmp_path: Path, text: str, name: str = "p.csv") -> LabelledPredictions:
    """Read a predictions file of that content."""
    path = tmp_path / name
    path.write_text(text)
    return read_predictions(path)


def test_a_predictions_file_gives_back_labels_decisions_and_confidence(tmp_path: Path) -> None:
    """What `evaluate --predictions` writes."""
    found = read(tmp_path, TWO)
    assert (found.class_names, found.ids) == (("cat", "dog"), ["1", "2"])
    assert (found.labels.tolist(), found.predicted.tolist(), found.confidence.tolist()) == ([0, 1], [1, 1], [0.7, 0.9])
    assert found.metrics.accuracy == 0.5


def test_decisions_are_matched_by_id(tmp_path: Path) -> None:
    """Two files may be sorted differently."""
    turned = HEADER + "2,dog,cat,0,0.2,0.6,0.4\n1,cat,cat,1,0.2,0.6,0.4\n"
    aligned = read(tmp_path, turned).in_order_of(read(tmp_path, TWO, "q.csv"), "A", "B")
    assert (list(aligned.ids), aligned.predicted.tolist()) == (["1", "2"], [0, 0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lacks the columns"),
        ("id,true\n", "lacks the columns"),
        (HEADER, "holds no predictions"),
        (HEADER + "1,cat,cow,0,0.4,0.3,0.7\n", "row 2: not a prediction"),
        (HEADER + "1,cat,dog,0,0.4,0.3\n", "row 2: not a prediction"),
        (HEADER + "1,cat,dog,0,0.4,0.3,nan\n", "row 2: not a prediction"),
        (TWO + "1,cat,cat,1,0.4,0.7,0.3\n", "an id occurs twice"),
    ],
)
def test_an_unusable_file_is_refused_with_the_place(tmp_path: Path, text: str, told: str) -> None:
    """One message that names the row."""
    with pytest.raises(DataError, match=re.escape(told)):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (TWO.replace("\n2,", "\n3,"), "don't hold the same samples"),
        (HEADER + "1,cat,dog,0,0.4,0.3,0.7\n", "don't hold the same samples"),
        (TWO.replace("2,dog,dog,1", "2,cat,dog,0"), "different true classes"),
        (TWO.replace("p(cat)", "p(cow)").replace("1,cat", "1,cow"), "don't have the same classes"),
    ],
)
def test_what_can_not_be_compared_is_told(tmp_path: Path, other: str, told: str) -> None:
    """Other samples, other labels, other classes."""
    with pytest.raises(DataError, match=told):
        read(tmp_path, other).in_order_of(read(tmp_path, TWO, "q.csv"), "A", "B")


def test_the_order_of_rows_does_not_matter_to_the_metrics(tmp_path: Path) -> None:
    """The same confusion matrix either way."""
    lines = TWO.splitlines()
    turned = read(tmp_path, "\n".join([lines[0], *reversed(lines[1:])]) + "\n", "t.csv")
    np.testing.assert_array_equal(turned.metrics.confusion, read(tmp_path, TWO).metrics.confusion)
