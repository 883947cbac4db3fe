"""Predictions files of very many classes: a row has the most probable ones, and two files still compare."""

import csv
from pathlib import Path

import numpy as np
import pytest

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions, with_shared_classes
from torchstone_runtime.evaluation.predictions_file import read_predictions
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.classification import metrics_from_labels
from torchstone_runtime.metrics.confusion import MOST_DENSE
from torchstone_runtime.report.csv_files import PredictionsCsv

CLASSES = 1000
NAMES = tuple(f"class {k}" for k in range(CLASSES))


def outputs(seed: int, samples: int = 40) -> tuple[Split, Predictions]:
    """Return a split and random answers, of which the third is none."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(samples, CLASSES)).astype(np.float32)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    logits[2] = probabilities[2] = np.nan
    labels = np.random.default_rng(0).integers(0, CLASSES, samples)
    ids = [f"{index}.png" for index in range(samples)]
    split = Split("test", ArrayStore(np.zeros((samples, 1, 1, 1), np.uint8)), labels, NAMES, ids)
    return split, Predictions(NAMES, logits, probabilities)


def written(path: Path, seed: int) -> tuple[Split, Predictions]:
    """Write a predictions file; return what it is of."""
    split, predictions = outputs(seed)
    with path.open("wb") as file:
        PredictionsCsv(file, NAMES).add(split, 0, predictions)
    return split, predictions


def test_a_row_has_the_most_probable_classes(tmp_path: Path) -> None:
    """Their names and probabilities, and that of the true class: 200 bytes, not a number for each of a thousand."""
    split, predictions = written(tmp_path / "p.csv", 1)
    assert (tmp_path / "p.csv").stat().st_size < 250 * (len(split) + 1)
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    row, top = rows[0], predictions.top(5)[0]
    assert (row["id"], row["true"], row["predicted"]) == ("0.png", NAMES[split.labels[0]], top[0][0])
    assert [row[f"rank {rank}"] for rank in range(2, 6)] == [name for name, _ in top[1:]]
    assert [float(row[f"p(rank {rank})"]) for rank in range(2, 6)] == [chance for _, chance in top[1:]]
    assert float(row["p(true)"]) == float(predictions.probabilities[0, split.labels[0]])
    assert float(row["margin"]) == pytest.approx(top[0][1] - top[1][1])
    assert set(rows[2].values()) == {"2.png", NAMES[split.labels[2]], "0", ""}


def test_it_reads_back_to_the_same_decisions(tmp_path: Path) -> None:
    """Classes that don't occur are no part of an average: the metrics are the same."""
    split, predictions = written(tmp_path / "p.csv", 1)
    found = read_predictions(tmp_path / "p.csv")
    decided = [None if index == NO_ANSWER else found.class_names[index] for index in found.predicted.tolist()]
    assert decided == predictions.labels_or_none
    expected = metrics_from_labels(split.labels, predictions.indices_or_none, NAMES)
    assert found.metrics.macro == pytest.approx(expected.macro)
    assert found.metrics.accuracy == expected.accuracy
    given = found.predicted != NO_ANSWER
    np.testing.assert_array_equal(found.confidence[given], predictions.confidences[given].astype(float))


def test_two_files_compare_though_other_classes_occur_in_them(tmp_path: Path) -> None:
    """Their classes are taken together."""
    read = []
    for seed in (1, 2):
        written(tmp_path / "p.csv", seed)
        read.append(read_predictions(tmp_path / "p.csv"))
    assert read[0].class_names != read[1].class_names
    first, second = with_shared_classes(*read)
    aligned = second.in_order_of(first, "B", "A")
    assert aligned.class_names == first.class_names
    for before, after in zip(read, (first, aligned), strict=True):
        assert [before.class_names[k] for k in before.labels] == [after.class_names[k] for k in after.labels]
        assert after.metrics.accuracy == before.metrics.accuracy
        assert after.unanswered_ids == ["2.png"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_file_compares_with_a_model(tmp_path: Path, *, turned: bool) -> None:
    """It takes the model's classes."""
    split, predictions = written(tmp_path / "p.csv", 1)
    model = LabelledPredictions.of(split, predictions.indices_or_none, np.zeros(len(split)))
    file = read_predictions(tmp_path / "p.csv")
    pair = with_shared_classes(model, file) if turned else with_shared_classes(file, model)
    assert [item.class_names for item in pair] == [NAMES, NAMES]
    np.testing.assert_array_equal(pair[0].predicted, pair[1].predicted)
    np.testing.assert_array_equal(pair[0].labels, pair[1].labels)


def test_a_file_of_classes_that_a_model_has_not_is_refused(tmp_path: Path) -> None:
    """As any two with other classes are; the message names some of them."""
    split, predictions = written(tmp_path / "p.csv", 1)
    other = Split("test", split.store, split.labels, tuple(f"kind {k}" for k in range(CLASSES)), split.ids)
    model = LabelledPredictions.of(other, predictions.indices_or_none, np.zeros(len(split)))
    first, second = with_shared_classes(read_predictions(tmp_path / "p.csv"), model)
    with pytest.raises(DataError, match="don't have the same classes") as refused:
        first.in_order_of(second, "A", "B")
    assert len(str(refused.value)) < 1000


def test_few_classes_have_a_column_each(tmp_path: Path) -> None:
    """Up to a hundred, as ever."""
    with (tmp_path / "p.csv").open("wb") as file:
        PredictionsCsv(file, NAMES[:MOST_DENSE])
    header = (tmp_path / "p.csv").read_text().strip().split(",")
    assert header[5:] == [f"p({name})" for name in NAMES[:MOST_DENSE]]
