import json
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.metrics.binomial import share_interval
from torchstone_runtime.metrics.classification import (
    Average,
    Metrics,
    confusion_matrix,
    metrics_from_confusion,
    metrics_from_labels,
)

NAMES = tuple("abcdefgh")
MAX_CLASSES = len(NAMES)


def measure(true: list[int], predicted: list[int], classes: int) -> Metrics:
    """Return our metrics of two lists of labels."""
    matrix = confusion_matrix(np.array(true, dtype=np.int64), np.array(predicted, dtype=np.int64), classes)
    return metrics_from_confusion(matrix, NAMES[:classes])


@st.composite
def labellings(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    """Draw true and predicted labels, often with classes that occur in neither or in one only."""
    classes = draw(st.integers(2, MAX_CLASSES))
    label = st.integers(0, classes - 1)
    pairs = draw(st.lists(st.tuples(label, label), min_size=1, max_size=60))
    return [true for true, _ in pairs], [predicted for _, predicted in pairs], classes


@settings(deadline=None, max_examples=60)
@given(labellings())
def test_per_class_figures_are_those_of_scikit_learn(case: tuple[list[int], list[int], int]) -> None:
    """Precision, recall, F1 and support of every class that is true or predicted somewhere agree; no other occurs."""
    true, predicted, classes = case
    occurring = sorted({*true, *predicted})
    expected = sk.precision_recall_fscore_support(true, predicted, zero_division=0)
    metrics = measure(true, predicted, classes)
    assert list(metrics.absent) == [name for label, name in enumerate(NAMES[:classes]) if label not in occurring]
    found = [metrics.per_class[label] for label in occurring]
    np.testing.assert_allclose([c.precision for c in found], expected[0], atol=1e-15)
    np.testing.assert_allclose([c.recall for c in found], expected[1], atol=1e-15)
    np.testing.assert_allclose([c.f1 for c in found], expected[2], atol=1e-15)
    assert [c.support for c in found] == expected[3].tolist()


@settings(deadline=None, max_examples=60)
@given(labellings(), st.sampled_from(["macro", "weighted"]))
def test_averages_are_those_of_scikit_learn(case: tuple[list[int], list[int], int], average: str) -> None:
    """Macro and weighted averages run over the classes that are true or predicted for a sample."""
    true, predicted, classes = case
    expected = sk.precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
    found = getattr(measure(true, predicted, classes), average)
    np.testing.assert_allclose([found.precision, found.recall, found.f1], expected[:3], atol=1e-14)


@settings(deadline=None, max_examples=60)
@given(labellings())
def test_confusion_matrix_and_accuracy_are_those_of_scikit_learn(case: tuple[list[int], list[int], int]) -> None:
    """Rows are true classes, columns predicted ones, and the accuracy is the share on the diagonal."""
    true, predicted, classes = case
    found = measure(true, predicted, classes)
    assert found.confusion.tolist() == sk.confusion_matrix(true, predicted, labels=range(classes)).tolist()
    assert found.accuracy == sk.accuracy_score(true, predicted)
    assert (found.total, found.correct) == (len(true), sum(map(int.__eq__, true, predicted)))


@settings(deadline=None, max_examples=60)
@given(labellings())
def test_the_balanced_accuracy_is_that_of_scikit_learn(case: tuple[list[int], list[int], int]) -> None:
    """It runs over the classes that have samples; scikit-learn warns where another was predicted."""
    true, predicted, classes = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = sk.balanced_accuracy_score(true, predicted)
    assert measure(true, predicted, classes).balanced_accuracy == pytest.approx(expected, abs=1e-14)


@settings(deadline=None, max_examples=60)
@given(labellings(), st.data())
def test_a_sample_without_an_answer_counts_as_wrong(
    case: tuple[list[int], list[int], int], data: st.DataObject
) -> None:
    """As for scikit-learn one that is given a class of which no average knows."""
    true, predicted, classes = case
    lost = data.draw(st.lists(st.booleans(), min_size=len(true), max_size=len(true)))
    shown = [NO_ANSWER if gone else label for label, gone in zip(predicted, lost, strict=True)]
    found = metrics_from_labels(np.array(true), np.array(shown), NAMES[:classes])
    assert found.accuracy == sk.accuracy_score(true, shown)
    assert (found.total, sum(found.unanswered)) == (len(true), sum(lost))
    occurring = sorted({*true, *shown} - {NO_ANSWER})
    expected = sk.precision_recall_fscore_support(true, shown, labels=occurring, average="macro", zero_division=0)
    np.testing.assert_allclose([found.macro.precision, found.macro.recall, found.macro.f1], expected[:3], atol=1e-14)


@settings(deadline=None, max_examples=60)
@given(labellings())
def test_right_answers_are_perfect_whichever_classes_are_absent(case: tuple[list[int], list[int], int]) -> None:
    """Every average is 1, however many classes the data lacks."""
    true, _, classes = case
    found = measure(true, true, classes)
    figures = (found.accuracy, found.balanced_accuracy, *vars_of(found.macro), *vars_of(found.weighted))
    assert figures == pytest.approx([1.0] * 8)


@settings(deadline=None, max_examples=60)
@given(labellings())
def test_averages_over_classes_that_all_occur_are_plain_means(case: tuple[list[int], list[int], int]) -> None:
    """To the bit, as before there was a rule for absent classes."""
    true, predicted, classes = case
    everything = [*true, *range(classes)]
    found = measure(everything, [*predicted, *range(classes)], classes)
    assert found.macro.f1 == float(np.array([item.f1 for item in found.per_class]).mean())
    assert found.macro.recall == float(np.array([item.recall for item in found.per_class]).mean())


def vars_of(average: Average) -> tuple[float, float, float]:
    """Return the three figures."""
    return average.precision, average.recall, average.f1


def test_json_has_null_for_an_absent_class_and_names_those_without_samples() -> None:
    """A class that was predicted has numbers, one that was not has none."""
    data = measure([0, 0, 0], [0, 0, 1], 3).to_json()
    assert data["classes_without_samples"] == ["b", "c"]
    assert [item["f1"] for item in data["per_class"]] == [0.8, 0.0, None]
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_a_worked_example() -> None:
    """Of four samples three are right; the figures are those that one finds on paper."""
    found = measure([0, 0, 1, 1], [0, 1, 1, 1], 3)
    a, b, c = found.per_class
    assert (a.precision, a.recall, a.f1, a.support) == pytest.approx((1.0, 0.5, 2 / 3, 2))
    assert (b.precision, b.recall, b.f1, b.support) == pytest.approx((2 / 3, 1.0, 0.8, 2))
    assert all(map(math.isnan, (c.precision, c.recall, c.f1)))
    assert (c.support, found.absent) == (0, ("c",))
    assert found.accuracy == 0.75
    assert found.macro.recall == pytest.approx(0.75)
    assert found.weighted.recall == pytest.approx(0.75)


def test_no_samples_at_all_give_zeros() -> None:
    """An empty evaluation has accuracy 0, all ratios 0 and an interval that excludes nothing."""
    found = metrics_from_confusion(np.zeros((3, 3), dtype=np.int64), NAMES[:3])
    assert (found.accuracy, found.accuracy_interval) == (0.0, (0.0, 1.0))
    assert found.weighted.f1 == found.macro.f1 == 0.0


def test_most_confused_lists_the_largest_cells_first() -> None:
    """Cells off the diagonal come by size, empty ones never."""
    found = metrics_from_confusion(np.array([[9, 1, 0], [0, 5, 4], [2, 0, 7]]), NAMES[:3])
    assert found.most_confused(2) == [("b", "c", 4), ("c", "a", 2)]
    assert len(found.most_confused(99)) == 3


@pytest.mark.parametrize(("true", "predicted"), [([0, 3], [0, 0]), ([0, 0], [-1, 0])])
def test_labels_out_of_range_are_refused(true: list[int], predicted: list[int]) -> None:
    """A label that is not a class would land in a wrong cell."""
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.2"):
        measure(true, predicted, 3)


def test_lists_of_different_length_are_refused() -> None:
    """One prediction a sample."""
    with pytest.raises(ValueError, match="2 true labels but 1 predictions"):
        measure([0, 1], [0], 3)


def test_json_form_holds_every_figure() -> None:
    """The JSON data states the counts, the interval and the matrix as numbers."""
    data = measure([0, 1, 1], [0, 1, 0], 2).to_json()
    assert (data["samples"], data["correct"], data["accuracy"]) == (3, 2, pytest.approx(2 / 3))
    assert data["confusion_matrix"] == [[1, 0], [1, 1]]
    assert data["accuracy_interval_95"] == list(share_interval(2, 3))
    assert data["per_class"][1] == {
        "class": "b",
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
    }
