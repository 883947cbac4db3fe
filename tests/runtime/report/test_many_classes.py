"""Reports of thousands of classes stay small, and say the most important first."""

import csv
import io
import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from helpers.report_pages import compared, compared_files, evaluation, gallery
from helpers.support import half_right
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import suggestion
from torchstone_runtime.evaluation.evaluate import Evaluation
from torchstone_runtime.evaluation.explanations import DEFAULT_EXPLAINED, ExplainedMistake
from torchstone_runtime.evaluation.occlusion import Evidence
from torchstone_runtime.evaluation.slices import Slice
from torchstone_runtime.inference.plan import ExecutionPlan
from torchstone_runtime.metrics.classification import metrics_from_confusion
from torchstone_runtime.metrics.confusion import ConfusionCells
from torchstone_runtime.metrics.probability_scores import Estimate, ProbabilityScores
from torchstone_runtime.report.csv_files import confusion_csv, metrics_csv
from torchstone_runtime.report.document import EvaluationDocument
from torchstone_runtime.report.html import render_html
from torchstone_runtime.report.measured_file import MeasuredFile
from torchstone_runtime.report.scoring_page import summary_html
from torchstone_runtime.report.terminal import MOST_CLASSES, SHOWN, render_text
from torchstone_runtime.scoring.tally import Tally
from torchstone_runtime.strict_json import strict_json

MANY = [1000, 5000]


@cache
def document(classes: int, *, images: int = 10, perfect: bool = False) -> EvaluationDocument:
    """An evaluation of some images a class, half of them right; pictures of noise, the worst for a page's size."""
    true, predicted, names = half_right(classes, images * classes)
    if perfect:
        predicted = true
    pixels = np.random.default_rng(1).integers(0, 256, (len(true), 3, 28, 28), dtype=np.uint8)
    split = Split("test", ArrayStore(pixels), true, names, list(map(str, range(len(true)))))
    sure = np.full(len(true), 0.9, dtype=np.float32)
    half = Estimate(0.5, (0.4, 0.6))
    found, scores = (split.ids, names, true, predicted, sure), ProbabilityScores(half, half, {5: half})
    evaluation = Evaluation(*found, split=split, scores=scores, seconds=3.0)
    file = MeasuredFile(
        model="m",
        bundle="bundles/m",
        sha256="5" * 64,
        plan=ExecutionPlan("fp32", "cpu", "asked for", 2, 64),
        dataset="npz:y.npz",
        split=split,
        split_reason="its own test part",
        certified=True,
    )
    return EvaluationDocument(file, evaluation)


@pytest.mark.parametrize("classes", [MOST_CLASSES + 1, 700, 5000])
def test_the_terminal_shows_the_worst_and_says_what_is_left_out(classes: int) -> None:
    """Eighty lines at most, however many classes, and where all of them are available."""
    found = document(classes)
    lines = render_text(found).splitlines()
    assert len(lines) < 80
    assert max(map(len, lines)) < 120
    assert f"{classes - SHOWN:,} more classes: --csv FILE and --json FILE hold them all" in lines
    metrics = found.evaluation.metrics
    worst = min(metrics.per_class, key=lambda item: item.f1)
    first = lines[next(index for index, line in enumerate(lines) if line.startswith("class ")) + 1]
    assert float(first.split()[-2]) == pytest.approx(worst.f1, abs=1e-4)
    pairs = len(metrics.cells.confusions().count)
    assert f"{pairs - SHOWN:,} more pairs: --confusion-csv FILE and --json FILE hold them all" in lines
    true, predicted, count = metrics.most_confused(1)[0]
    assert any(line.startswith(true) and predicted in line and f" {count} " in line for line in lines)


def test_the_terminal_shows_few_classes_whole() -> None:
    """Up to forty classes, every one of them and the matrix, as ever."""
    text = render_text(document(MOST_CLASSES))
    assert "Confusion matrix (rows: true class, columns: predicted class)" in text
    assert all(f"{index} class {index}" in text for index in range(MOST_CLASSES))


def test_the_terminal_says_of_many_classes_without_a_mistake_that_there_is_none() -> None:
    """No pairs are listed."""
    assert render_text(document(700, perfect=True)).endswith("No image was taken for another class.")


def test_the_terminal_shows_the_worst_groups_only() -> None:
    """A file of groups may have a thousand of them."""
    metrics = document(MOST_CLASSES).evaluation.metrics
    slices = [Slice("site", f"site {index}", metrics) for index in range(900)]
    lines = render_text(replace(document(MOST_CLASSES), slices=slices)).splitlines()
    assert sum(line.startswith("site: ") for line in lines) == MOST_CLASSES
    assert lines[-1] == f"{900 - MOST_CLASSES} more groups: --json FILE and --report FILE hold them all"


@pytest.mark.parametrize(("classes", "most"), [(1000, 1_000_000), (5000, 5_000_000)])
def test_json_has_no_matrix_and_every_figure(classes: int, most: int) -> None:
    """A megabyte a thousand classes, and less than 20 lines a class."""
    found = document(classes)
    text = strict_json(found.to_json(), indent=2)
    assert len(text) < most
    assert text.count("\n") < 20 * classes
    data = json.loads(text)
    assert len(data["metrics"]["per_class"]) == classes
    cells = ConfusionCells.from_json(data["metrics"], classes)
    np.testing.assert_array_equal(cells.matrix(), found.evaluation.metrics.confusion)


@pytest.mark.parametrize("classes", MANY)
def test_html_stays_below_two_megabytes(classes: int) -> None:
    """With the worst classes, the worst pairs, the picture of the matrix, and every class by name."""
    text = render_html(document(classes))
    assert len(text.encode()) < 2_000_000
    words = set(re.findall("[^<>]+", text))
    assert f"The 40 of {classes:,} classes with the lowest F1." in words
    assert any(word.endswith("pairs confused most often") for word in words)
    assert {f"class {index}" for index in range(classes)} <= words


def test_html_of_more_classes_than_it_lists_says_so() -> None:
    """Nine thousand: the table of all classes ends, and names the files that hold the rest."""
    text = render_html(document(9_000, images=2))
    assert len(text.encode()) < 2_500_000
    assert "1,000 more classes can be written as CSV and JSON." in text


def test_csv_files_hold_everything() -> None:
    """The matrix is written whole there, a row a class."""
    metrics = document(1000).evaluation.metrics
    rows = list(csv.reader(io.StringIO(confusion_csv(metrics))))
    np.testing.assert_array_equal([list(map(int, row[1:])) for row in rows[1:]], metrics.confusion)
    assert len(metrics_csv(metrics).splitlines()) == 1 + 1000 + 3


def test_a_suggestion_lists_some_of_many_words() -> None:
    """A thousand class names are no help on a terminal."""
    text = suggestion("zzz", [f"class {index:04}" for index in range(1000)])
    assert text.endswith("class 0039 and 960 more.")


def test_classes_that_do_not_occur_are_not_the_worst() -> None:
    """Their F1 is not defined."""
    metrics = metrics_from_confusion(np.array([[1, 1, 0], [0, 3, 0], [0, 0, 0]]), ("a", "b", "c"))
    assert [item.name for item in metrics.lowest_f1(3)] == ["a", "b"]


def test_explained_mistakes_keep_the_page_below_two_megabytes() -> None:
    """As many as are explained unless another number is asked for; pictures of noise are the largest."""
    generator = np.random.default_rng(0)
    shown = []
    for index in range(DEFAULT_EXPLAINED):
        pixels = generator.integers(0, 256, (3, 224, 224), dtype=np.uint8)
        falls = generator.normal(size=(2, 224, 224)).astype(np.float32)
        answered, right = (Evidence(label, 0.5, 0.1, fall) for label, fall in enumerate(falls))
        shown.append(ExplainedMistake(index, pixels, answered, right))
    text = render_html(replace(document(1000), explanations=shown))
    assert text.count('class="look"') == DEFAULT_EXPLAINED
    assert len(text.encode()) < 2_000_000


def test_tables_and_galleries_of_many_classes_say_of_how_many_they_show_some() -> None:
    """Samples, the least covered sets with all of them folded up, changed decisions, and differing samples."""
    text = evaluation(1000)
    assert "The first images of 28 of 1,000 classes" in text
    open_text = re.sub("<details>.*?</details>", "", text, flags=re.DOTALL)
    assert open_text.count('<th scope="row">') < 150
    assert "<summary>All 1,000 classes</summary>" in text
    for page in (compared(1000), compared_files(1000)):
        assert re.search("The 20 most frequent of [0-9,]+; --json FILE and --csv FILE list every sample.", page)
    assert re.search("The first 60 of [0-9,]+; ", compared(1000))
    assert re.search("The first 200 of [0-9,]+; ", compared_files(1000))


def test_pictures_of_predictions_stand_below_their_title() -> None:
    """In the order of the file too, which a screen reader follows."""
    text = gallery(10)
    assert 0 < text.index("<h2>Pictures</h2>") < text.index("<figure") < text.index("<h2>Left out</h2>")


def test_a_summary_says_how_many_classes_it_leaves_out() -> None:
    """The table has 200, and the JSON beside it all."""
    record = {"model": {"sha256": "5", "variant": "fp32", "provider": "cpu"}, "input": {"sha256": "6"}}
    classes = Counter({f"class {index}": 1 for index in range(1200)})
    text = summary_html("m", record, Tally(1200, Counter(), classes, Counter({19: 1200})), None)
    assert "The 200 most frequent of 1,200 classes; summary.json has them all." in text
