"""What a notebook shows of predictions and comparisons: small, escaped, and without any script."""

import re

import numpy as np
import pytest

from torchstone_runtime.evaluation.comparison import Comparison, Side
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.html_table import html_table
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.answered import NO_ANSWER

HOSTILE = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\u202egnp.exe", "x" * 10_000)
TAGS = {"p", "table", "thead", "tbody", "tr", "th", "td"}


def check_harmless(page: str) -> None:
    """Only tags of a table without attributes, nothing that turns the text around, and a few kilobytes."""
    assert set(re.findall(r"<\s*/?([^>]*)>", page)) <= TAGS
    assert "\u202e" not in page
    assert len(page) < 20_000


def side(name: str, predicted: list[int]) -> Side:
    """One side of a comparison, whose classes, files and path have hostile names."""
    labels = np.arange(len(predicted), dtype=np.int64) % len(HOSTILE)
    ids = [f"{HOSTILE[label]}/{index}" for index, label in enumerate(labels)]
    sure = np.full(len(labels), 0.9, dtype=np.float32)
    found = LabelledPredictions(ids, HOSTILE, labels, np.array(predicted, dtype=np.int64), sure)
    return Side(name, HOSTILE[0], found)


def test_a_comparison_of_hostile_names() -> None:
    """The verdict, both accuracies, the first samples on which they differ and how many more there are."""
    comparison = Comparison(side("A", [0, 1, 2, 3] * 10), side("B", [1, NO_ANSWER, 2, 0] * 10))
    page = comparison._repr_html_()
    check_harmless(page)
    assert "A is more accurate than B" in page
    assert "<td>1.0000</td>" in page
    assert "no answer" in page
    assert page.count("<tr>") == 1 + 2 + 1 + 20
    assert "and 10 more images" in page


def test_a_comparison_without_a_difference_has_no_second_table() -> None:
    """The verdict says it all."""
    page = Comparison(side("A", [0, 1]), side("B", [0, 1]))._repr_html_()
    assert page.count("<table>") == 1
    assert "decide all 2 samples alike" in page


@pytest.mark.parametrize("count", [3, 500])
def test_predictions_of_hostile_names(count: int) -> None:
    """Class and probability of the first images."""
    logits = np.eye(len(HOSTILE), dtype=np.float32)[np.arange(count) % len(HOSTILE)]
    paths = tuple(f"{HOSTILE[index % len(HOSTILE)]}.png" for index in range(count))
    page = Predictions(HOSTILE, logits, logits, paths=paths)._repr_html_()
    check_harmless(page)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;</td><td>1.0000</td>" in page
    assert ("more images" in page) is (count > 20)


def test_a_long_cell_is_cut() -> None:
    """After 200 characters."""
    assert html_table(("a",), [("q" * 300,)]).count("q") == 200


def test_a_figure_that_is_no_number_is_a_dash() -> None:
    """As in every other table."""
    assert "<td>-</td>" in html_table(("a",), [(float("nan"),)])
