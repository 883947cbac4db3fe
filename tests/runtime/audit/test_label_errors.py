from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.photographs import photograph_tree
from torchstone_runtime.arrays import Float64Array, Int64Array
from torchstone_runtime.audit.audited_pictures import open_source
from torchstone_runtime.audit.label_errors import Confidences, class_thresholds, find_label_errors
from torchstone_runtime.audit.predicted import read_predicted
from torchstone_runtime.csv_text import csv_text
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import DataError


def by_definition(labels: Int64Array, probabilities: Float64Array) -> dict[int, int]:
    """Return the likely class of each off-diagonal picture, written down as section 3.1 of the paper has it."""
    classes = probabilities.shape[1]
    threshold = [probabilities[labels == j, j].mean() if (labels == j).any() else 2.0 for j in range(classes)]
    found = {}
    for index, row in enumerate(probabilities):
        reached = [j for j in range(classes) if row[j] >= threshold[j] - 1e-9]
        if reached and (best := max(reached, key=lambda j: row[j])) != labels[index]:
            found[index] = best
    return found


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), count=st.integers(1, 60))
def test_the_likely_errors_are_those_off_the_diagonal_of_the_confident_joint(
    seed: int, classes: int, count: int
) -> None:
    """Against the definition, the smallest margin first."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    probabilities = generator.dirichlet(np.full(classes, 0.3), count)
    found = find_label_errors(Confidences.of(labels, probabilities), classes)

    assert {error.index: error.likely for error in found} == by_definition(labels, probabilities)
    margins = [error.margin for error in found]
    assert margins == sorted(margins)
    assert all(error.label == labels[error.index] for error in found)


def test_a_threshold_is_the_mean_self_confidence() -> None:
    """A class without pictures can't be reached."""
    thresholds = class_thresholds(np.array([0, 0, 2]), np.array([0.5, 0.9, 0.3]), 3)
    assert thresholds == pytest.approx([0.7, 2.0, 0.3])


def test_a_picture_without_an_answer_is_not_suspected() -> None:
    """Its probabilities are NaN, and the thresholds leave it out."""
    probabilities = np.array([[np.nan, np.nan], [0.9, 0.1], [0.2, 0.8], [0.95, 0.05]])
    found = find_label_errors(Confidences.of(np.array([0, 0, 1, 1]), probabilities), 2)
    assert [error.index for error in found] == [3]


def predictions_of(rows: list[tuple[str, str, list[float]]], names: list[str]) -> str:
    """Return a predictions file of rows of id, true class and probabilities."""
    head = ["id", "true", "predicted", "correct", "margin", *(f"p({name})" for name in names)]
    body = []
    for identifier, true, values in rows:
        predicted = names[int(np.argmax(values))]
        margin = max(values) - sorted(values)[-2]
        body.append([identifier, true, predicted, int(predicted == true), margin, *values])
    return csv_text([head, *body])


def test_predictions_find_their_pictures_in_the_part_that_has_them(tmp_path: Path) -> None:
    """By the ids of a split, which both parts may have; here only the training part has all of them."""
    photograph_tree(tmp_path / "data" / "train", {"cat": 3, "dog": 3})
    photograph_tree(tmp_path / "data" / "test", {"cat": 1, "dog": 1}, first=50)
    rows = [(f"{name}/{index}.jpg", name, [0.9, 0.1]) for name in ("cat", "dog") for index in range(3)]
    (tmp_path / "p.csv").write_text(predictions_of(rows, ["cat", "dog"]))
    found = read_predicted(tmp_path / "p.csv", open_source(DatasetRef("folder", tmp_path / "data")))

    assert found.indices.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.confidences.own.tolist() == [0.9] * 3 + [0.1] * 3


def test_predictions_are_of_the_part_that_they_cover_where_both_have_their_names(tmp_path: Path) -> None:
    """Each part counts its pictures from the same number on, and the training part has more."""
    photograph_tree(tmp_path / "data" / "train", {"cat": 3, "dog": 3})
    photograph_tree(tmp_path / "data" / "test", {"cat": 1, "dog": 1})
    rows = [("cat/0.jpg", "cat", [0.9, 0.1]), ("dog/0.jpg", "dog", [0.2, 0.8])]
    (tmp_path / "p.csv").write_text(predictions_of(rows, ["cat", "dog"]))
    found = read_predicted(tmp_path / "p.csv", open_source(DatasetRef("folder", tmp_path / "data")))

    assert found.indices.tolist() == [6, 7]


def test_predictions_that_may_be_of_two_parts_are_refused(tmp_path: Path) -> None:
    """Both have all of the names, so labels of one could be blamed for the answers to the other's pictures."""
    photograph_tree(tmp_path / "data" / "train", {"cat": 1, "dog": 1})
    photograph_tree(tmp_path / "data" / "test", {"cat": 1, "dog": 1})
    rows = [("cat/0.jpg", "cat", [0.9, 0.1]), ("dog/0.jpg", "dog", [0.2, 0.8])]
    (tmp_path / "p.csv").write_text(predictions_of(rows, ["cat", "dog"]))
    with pytest.raises(DataError, match=r"may be of the train or of the test part"):
        read_predicted(tmp_path / "p.csv", open_source(DatasetRef("folder", tmp_path / "data")))


def test_predictions_of_other_data_are_refused(tmp_path: Path) -> None:
    """One message names pictures that are not there."""
    root = photograph_tree(tmp_path / "data", {"cat": 2, "dog": 2})
    rows = [("cat/0.jpg", "cat", [0.9, 0.1]), ("cat/9.jpg", "cat", [0.9, 0.1]), ("dog/0.jpg", "cat", [0.2, 0.8])]
    (tmp_path / "p.csv").write_text(predictions_of(rows, ["cat", "dog"]))
    with pytest.raises(DataError, match=r"2 of 3 predictions .* cat/9\.jpg, dog/0\.jpg"):
        read_predicted(tmp_path / "p.csv", open_source(DatasetRef("folder", root)))
