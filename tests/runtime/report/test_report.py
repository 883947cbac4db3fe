import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.inference.predictions import Predictions
from torchstone_runtime.metrics.classification import confusion_matrix, metrics_from_confusion
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.report.by_class import by_class_html
from torchstone_runtime.report.csv_files import PredictionsCsv, confusion_csv, metrics_csv
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.html import render_html
from torchstone_runtime.report.matrix import heat_map, matrix_html, row_shares
from torchstone_runtime.report.measured_file import MeasuredFile
from torchstone_runtime.report.terminal import render_text
from torchstone_runtime.text import percent

NAMES = ('<b>&"', "Größe, 'x'", "never\\seen")
TRUE = np.array([0] * 1000 + [1] * 500)
PREDICTED = np.concatenate([np.zeros(985, int), np.ones(15, int), np.ones(493, int), np.zeros(7, int)])
PIXELS = np.random.default_rng(0).integers(0, 256, (1500, 1, 3, 4), dtype=np.uint8)
SPLIT = Split("test", ArrayStore(PIXELS), TRUE, NAMES, [f"<{index}>,\n" for index in range(1500)])
METRICS = metrics_from_confusion(confusion_matrix(TRUE, PREDICTED, 3), NAMES)
CONFIDENCE = np.full(1500, 0.96, dtype=np.float32)
CONFIDENCE[990] = 0.987
SCORES = ProbabilityScores(Estimate(0.3, (0.25, 0.35)), Estimate(0.1, (0.09, 0.11)), {2: Estimate(0.99, (0.98, 0.995))})
FILE = MeasuredFile(
    model="<script>alert(1)</script>",
    bundle="bundles/<x>",
    sha256="5" * 64,
    plan=ExecutionPlan("fp32", "cpu", "asked & for", 2, 64),
    dataset="npz:<y>.npz",
    split=SPLIT,
    split_reason="its own <test> part",
    certified=True,
)
DOCUMENT = EvaluationDocument(
    FILE,
    Evaluation(SPLIT.ids, NAMES, TRUE, PREDICTED, CONFIDENCE, split=SPLIT, scores=SCORES, seconds=3.0),
)
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Collects what a page holds and checks that its tags are balanced."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action", "data")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def page() -> Page:
    """The HTML report, parsed."""
    return Page(render_html(DOCUMENT))


def test_text_states_the_numbers() -> None:
    """Accuracy with its counts and interval, every class, both averages, and the matrix."""
    text = render_text(DOCUMENT)
    low, high = METRICS.accuracy_interval
    assert f"accuracy          0.9853  (1,478 of 1,500; 95% interval {low:.4f} to {high:.4f})" in text
    assert "1,500 images (its own <test> part, the certified data)" in text
    lines = text.splitlines()
    first = next(line for line in lines if line.startswith(NAMES[0]))
    assert first.split()[1:] == ["0.9929", "0.9850", "0.9890", "1,000"]
    macro = next(line for line in lines if line.startswith("macro average"))
    expected = [f"{value:.4f}" for value in (METRICS.macro.precision, METRICS.macro.recall, METRICS.macro.f1)]
    assert macro.split()[2:] == [*expected, "1,500"]
    matrix = [line.split()[-3:] for line in lines[-3:]]
    assert matrix == [["985", "15", "."], ["7", "493", "."], [".", ".", "."]]


def test_metrics_csv_reads_back_to_equal_numbers() -> None:
    """Each figure is written with all its digits."""
    rows = list(csv.reader(io.StringIO(metrics_csv(METRICS))))
    assert rows[0] == ["class", "precision", "recall", "f1", "support"]
    assert rows[3] == [NAMES[2], "", "", "", "0"]  # the class that does not occur
    for row, expected in zip(rows[1:3], METRICS.per_class[:2], strict=True):
        assert row[0] == expected.name
        assert [float(x) for x in row[1:4]] == [expected.precision, expected.recall, expected.f1]
        assert int(row[4]) == expected.support
    assert [float(x) for x in rows[5][1:4]] == [
        METRICS.weighted.precision,
        METRICS.weighted.recall,
        METRICS.weighted.f1,
    ]
    assert (rows[6][0], float(rows[6][2])) == ("accuracy", METRICS.accuracy)


def test_confusion_csv_reads_back_to_the_matrix() -> None:
    """Names and counts survive commas and quotes."""
    rows = list(csv.reader(io.StringIO(confusion_csv(METRICS))))
    assert tuple(rows[0][1:]) == tuple(row[0] for row in rows[1:]) == NAMES
    assert [[int(count) for count in row[1:]] for row in rows[1:]] == METRICS.confusion.tolist()


def test_predictions_csv_has_a_row_a_sample() -> None:
    """Ids with commas and line ends survive; the margin is that of the two largest probabilities."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]], dtype=np.float32)
    buffer = io.BytesIO()
    writer = PredictionsCsv(buffer, NAMES)
    writer.add(SPLIT, 0, Predictions(NAMES, np.log(probabilities), probabilities))
    writer.add(SPLIT, 998, Predictions(NAMES, np.log(probabilities), probabilities))
    rows = list(csv.DictReader(io.StringIO(buffer.getvalue().decode(), newline="")))
    assert [row["id"] for row in rows] == [SPLIT.ids[index] for index in (0, 1, 998, 999)]
    assert [row["correct"] for row in rows] == ["1", "0", "1", "0"]
    assert [row["predicted"] for row in rows[:2]] == list(NAMES[:2])
    assert [float(row["margin"]) for row in rows[:2]] == pytest.approx([0.5, 0.25])
    assert float(rows[1][f"p({NAMES[1]})"]) == 0.5


def test_html_is_balanced_and_self_contained(page: Page) -> None:
    """One script, whose hash the policy names, no handler, and no reference to anything outside the page."""
    assert page.open == []
    assert not {"iframe", "object", "embed", "form"} & set(page.tags)
    script = re.findall("<script>(.*?)</script>", render_html(DOCUMENT), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert (len(script), page.tags.count("script")) == (1, 1)
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        in render_html(DOCUMENT)
    )
    assert all(link.startswith(("data:", "#pair-")) for link in page.links)
    assert "http://" not in render_html(DOCUMENT)
    assert "https://" not in render_html(DOCUMENT)
    assert "url(" not in render_html(DOCUMENT)
    assert "@import" not in render_html(DOCUMENT)


@pytest.mark.parametrize(
    "text", [*NAMES, "<script>alert(1)</script> on npz:<y>.npz", "bundles/<x>", "sample <990>,", "98.53%", "98.7%"]
)
def test_html_shows_names_as_text(page: Page, text: str) -> None:
    """Names with markup are shown as they are, not obeyed."""
    assert any(text in words for words in page.words)


def test_html_matrix_has_every_count(page: Page) -> None:
    """The counts of the confusion matrix, row by row."""
    counts = [word for word in page.words if word in {"985", "15", "7", "493"}]
    assert counts[:4] == ["985", "15", "7", "493"]


def test_html_matrix_is_normalised_by_row_as_well(page: Page) -> None:
    """Shares of each true class in percent, after the counts."""
    shares = [word for word in page.words if word in {"98.5", "1.5", "1.4", "98.6"}]
    assert shares == ["98.5", "1.5", "1.4", "98.6"]
    assert page.words.index("Share of each true class, in %") > page.words.index("985")


@pytest.mark.parametrize(
    ("counts", "shown"), [([9, 1], "90.0 10.0"), ([7, 0], "100 0"), ([9999, 1], "&gt;99.9 &lt;0.1"), ([0, 0], "0 0")]
)
def test_share_of_a_row_is_never_rounded_to_all_or_nothing(counts: list[int], shown: str) -> None:
    """100 is a row without a mistake, and 0 a confusion that did not happen."""
    html = matrix_html(metrics_from_confusion(np.array([counts, [0, 0]]), ("a", "b")))
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", html.partition("in %")[2])
    assert cells[:2] == shown.split()


def test_many_classes_become_a_picture() -> None:
    """A thousand classes would be a million cells: then a pixel is a cell, blue on the diagonal and red beside it."""
    names = tuple(map(str, range(200)))
    metrics = metrics_from_confusion(np.eye(200, dtype=np.int64) * 9 + np.eye(200, k=1, dtype=np.int64), names)
    html = matrix_html(metrics)
    assert (html.count("<td"), html.count("<img"), len(html) < 20_000) == (0, 1, True)
    (red, _, blue) = heat_map(row_shares(metrics)).astype(int)
    assert (red[5, 5] < blue[5, 5], red[5, 6] > blue[5, 6], red[5, 7]) == (True, True, 255)


def test_html_has_the_sections_of_a_runs_report(page: Page) -> None:
    """All that decisions on a split show, in this order."""
    titles = ["Confusion matrix", "By class", "Confidence", "Samples", "Most confident mistakes", "Most often confused"]
    assert [word for word in page.words if word in titles] == titles


def test_bars_are_as_long_as_f1() -> None:
    """Eight rem are an F1 of one; a class that does not occur has none."""
    widths = re.findall(r'class="bar" style="width:([0-9.]+)rem', by_class_html(DOCUMENT.evaluation))
    expected = [*sorted(item.f1 for item in METRICS.per_class[:2]), 0, METRICS.macro.f1, METRICS.weighted.f1]
    assert [float(width) / 8 for width in widths] == pytest.approx(expected, abs=0.001)


def test_classes_stand_worst_first_and_keep_their_place() -> None:
    """A class that does not occur comes last; a click on the column of names sorts by the place among the labels."""
    table = by_class_html(DOCUMENT.evaluation)
    places = [int(place) for place in re.findall(r'data-order="([0-9]+)"', table)]
    first, second = (item.f1 for item in METRICS.per_class[:2])
    assert places == ([0, 1, 2] if first <= second else [1, 0, 2])
    assert re.findall(r'<th [^>]*aria-sort="ascending"[^>]*>([^<]*)', table) == ["F1"]


def test_mean_confidence_is_averaged_as_the_other_figures_are() -> None:
    """Over the images of a class; macro over the classes that have images, weighted over all images."""
    sure = np.where(TRUE == 0, 0.9, 0.6).astype(np.float32)
    table = by_class_html(replace(DOCUMENT.evaluation, confidence=sure))
    assert re.findall(r"<td>([0-9.]+%|-)</td></tr>", table) == ["60.0%", "90.0%", "-", "75.0%", "80.0%"]


def test_a_threshold_is_given_in_full() -> None:
    """In nine digits, which are enough to write a confidence by: rounded to 1 it would let nothing through."""
    sure = np.full(1500, np.nextafter(np.float32(1), np.float32(0)))
    evaluation = replace(DOCUMENT.evaluation, predicted=TRUE, confidence=sure, seconds=1.0)
    document = EvaluationDocument(FILE, evaluation)
    assert "confidence at least 0.99999994" in render_text(document)
    assert ">0.99999994" in render_html(document)


def test_html_of_a_perfect_result_says_so() -> None:
    """No mistakes, no confusions."""
    perfect = replace(DOCUMENT.evaluation, predicted=TRUE, seconds=1.0)
    document = EvaluationDocument(replace(FILE, sha256=None, certified=False), perfect)
    text = " ".join(Page(render_html(document)).words)
    for expected in ("100.00%", "No image was taken for another class.", "not known: a lone file"):
        assert expected in text


@pytest.mark.parametrize(
    ("share", "shown"),
    [(1.0, "100.00%"), (0.99999, ">99.99%"), (0.9853, "98.53%"), (0.00001, "<0.01%"), (0.0, "0.00%")],
)
def test_an_accuracy_is_never_rounded_to_all_or_nothing(share: float, shown: str) -> None:
    """100% is a model without a mistake."""
    assert percent(share) == shown


def test_json_document_holds_model_data_metrics_and_execution() -> None:
    """Every part that a later comparison needs."""
    data: dict[str, Any] = DOCUMENT.to_json()
    assert data["model"] == {
        "name": FILE.model, "bundle": "bundles/<x>", "variant": "fp32", "sha256": "5" * 64,
    }  # fmt: skip
    assert data["data"]["fingerprint"] == SPLIT.fingerprint
    assert (data["data"]["samples"], data["data"]["same_as_certified"]) == (1500, True)
    assert data["metrics"] == METRICS.to_json()
    assert data["calibration"]["expected_calibration_error"] == DOCUMENT.reliability.error
    assert data["decisions_sha256"] == DOCUMENT.evaluation.decisions_sha256
    assert (data["execution"]["provider"], data["execution"]["threads"]) == ("cpu", 2)
    assert DOCUMENT.images_per_second == 500
