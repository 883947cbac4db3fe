import json
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.confidence_by_class import by_class, lowest_shown
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.metrics.calibration import Reliability, reliability
from torchstone_runtime.report.confidence import confidence_html

DECISIONS = st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=60)


def decisions(
    labels: list[int], predicted: list[int], confidence: list[float], names: str = "abc"
) -> LabelledPredictions:
    """Return decisions on black images, with a letter of `names` for each class."""
    truly, decided = np.array(labels, dtype=np.int64), np.array(predicted, dtype=np.int64)
    images = ArrayStore(np.zeros((len(labels), 1, 4, 4), dtype=np.uint8))
    split = Split("validation", images, truly, tuple(names), [str(index) for index in range(len(labels))])
    return LabelledPredictions.of(split, decided, np.array(confidence, dtype=np.float32))


def found(pairs: list[tuple[float, bool]]) -> Reliability:
    """Return the reliability of (confidence, right)."""
    sure, right = zip(*pairs, strict=True)
    return reliability(np.array(sure, dtype=np.float64), np.array(right, dtype=np.bool_))


def drawings(seen: LabelledPredictions) -> list[ET.Element]:
    """Return the two diagrams of a report."""
    page = ET.fromstring(confidence_html(seen))  # noqa: S314 - our own text
    return [svg for svg in page.iter("svg") if svg.get("role") == "img"]


def test_calibration_error_of_a_worked_example() -> None:
    """Two of three right at mean 0.75, none of one at 0.95, one of one at 0.25: 3/5*0.0833 + 1/5*0.95 + 1/5*0.75."""
    example = found([(0.71, True), (0.75, True), (0.79, False), (0.95, False), (0.25, True)])
    assert example.error == pytest.approx(0.6 * (0.75 - 2 / 3) + 0.2 * 0.95 + 0.2 * 0.75)


@given(DECISIONS)
def test_calibration_error_is_that_of_the_definition(pairs: list[tuple[float, bool]]) -> None:
    """Sample by sample as Guo et al. write it: bin m holds what lies above (m-1)/10 and up to m/10."""
    error = 0.0
    for m in range(1, 11):
        # Zero, which no bin of the definition holds, counts into the first.
        members = [(sure, right) for sure, right in pairs if (m - 1) / 10 < sure <= m / 10 or (m == 1 and sure == 0)]
        if members:
            accuracy = sum(right for _, right in members) / len(members)
            confidence = sum(sure for sure, _ in members) / len(members)
            error += len(members) / len(pairs) * abs(accuracy - confidence)
    assert found(pairs).error == pytest.approx(error, abs=1e-9)


@given(DECISIONS)
def test_every_sample_is_in_one_bin(pairs: list[tuple[float, bool]]) -> None:
    """The counts add up to the samples."""
    assert found(pairs).counts.sum() == len(pairs)


@pytest.mark.parametrize(("confidence", "bin_"), [(0.0, 0), (0.1, 0), (0.1000001, 1), (0.3, 2), (0.7, 6), (1.0, 9)])
def test_boundary_belongs_to_the_bin_below(confidence: float, bin_: int) -> None:
    """As in the definition, also where a tenth is no exact binary number."""
    assert found([(confidence, True)]).filled() == [bin_]


def test_probability_above_one_by_rounding_is_in_the_last_bin() -> None:
    """A softmax in float32 may give 1.0000001."""
    assert found([(1.0000001, True)]).filled() == [9]


def test_a_sample_is_right_where_its_predicted_class_is_the_true_one() -> None:
    """Reliability is taken of decisions."""
    assert decisions([0, 1, 2], [0, 1, 0], [0.95, 0.95, 0.95]).reliability.accuracy[9] == pytest.approx(2 / 3)


def test_quantiles_are_of_the_true_class() -> None:
    """How sure the model is of a class is asked of the class's images, whatever they are taken for."""
    (least, most) = by_class(decisions([0] * 5 + [1], [0, 0, 0, 0, 1, 1], [0.5, 0.6, 0.7, 0.8, 0.9, 0.99]))
    assert (least.name, least.count, most.name) == ("a", 5, "b")
    assert least.mean == pytest.approx(0.7)
    assert least.quantiles == pytest.approx((0.52, 0.6, 0.7, 0.8, 0.88))


def test_class_without_images_is_left_out() -> None:
    """There is nothing to say of it, and nothing fails."""
    assert [item.name for item in by_class(decisions([0, 2], [0, 0], [0.9, 0.8]))] == ["c", "a"]


@pytest.mark.parametrize(("quantile", "low"), [(0.0, 0.0), (0.34, 0.3), (0.95, 0.9), (1.0, 0.9)])
def test_axis_begins_below_the_lowest_quantile(quantile: float, low: float) -> None:
    """No class's line is cut off, and the axis has a width where the model is always sure."""
    assert lowest_shown(by_class(decisions([0], [0], [quantile]))) == low


def test_diagram_draws_a_bar_for_each_filled_bin_and_every_count() -> None:
    """Bars stand where samples are; the counts are written below, zeros as well."""
    diagram, _ = drawings(decisions([0, 1, 2], [0, 1, 0], [0.95, 0.95, 0.35]))
    bars = [rect for rect in diagram.iter("rect") if rect.get("class") is None]
    assert [float(bar.attrib["height"]) for bar in bars] == [0.0, 300.0]
    counts = [text.text for text in diagram.iter("text") if text.get("class") == "strong"]
    assert counts == ["0", "0", "0", "1", "0", "0", "0", "0", "0", "2"]


def test_diagrams_say_in_words_what_they_show() -> None:
    """Who can't see them reads the error, the bins and each class's figures."""
    reliability_words, class_words = (svg.attrib["aria-label"] for svg in drawings(decisions([0], [1], [0.95])))
    assert "calibration error 0.9500" in reliability_words
    assert "1 image at 90 to 100%: 0.0% right, 95.0% sure" in reliability_words
    assert "a: mean 95.0%, median 95.0%" in class_words


def test_error_is_stated_with_its_source() -> None:
    """Formula and paper stand beside the figure."""
    text = "".join(ET.fromstring(confidence_html(decisions([0], [1], [0.95]))).itertext())  # noqa: S314 - our own text
    assert "Expected calibration error: 0.9500" in text
    assert "|accuracy minus mean confidence|" in text
    assert "Guo et al. 2017, arXiv 1706.04599" in text


def test_class_names_are_escaped_in_the_diagrams() -> None:
    """A class called like markup is text."""
    _, classes = drawings(decisions([0, 1], [0, 1], [0.9, 0.9], names='<"'))
    names: list[Any] = [text.text for text in classes.iter("text") if text.get("class") == "strong"]
    assert names[::2] == ["<", '"']


def test_reliability_as_json_has_the_error_and_every_bin() -> None:
    """Bins without samples are there, without figures; all of it is valid JSON."""
    data = json.loads(json.dumps(found([(0.95, True), (0.95, False), (0.25, True)]).to_json(), allow_nan=False))
    assert data["expected_calibration_error"] == pytest.approx(2 / 3 * 0.45 + 1 / 3 * 0.75)
    assert [item["samples"] for item in data["bins"]] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    assert data["bins"][9] == {
        "above": 0.9, "up_to": 1.0, "samples": 2, "accuracy": 0.5, "mean_confidence": pytest.approx(0.95),
    }  # fmt: skip
    assert data["bins"][0]["accuracy"] is None
