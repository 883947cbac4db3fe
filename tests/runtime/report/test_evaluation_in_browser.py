from pathlib import Path

import numpy as np
import pytest

from helpers.browser import DESK, NEEDS_BROWSER, PHONE, look_at, paper_and_ink
from helpers.in_process import run_in_process
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.report.page import render_page
from torchstone_runtime.report.sections import decision_sections

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def report(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an exported model on all digits."""
    file = tmp_path_factory.mktemp("evaluated") / "report.html"
    result = run_in_process("evaluate", digits_bundle, "--data", "digits", "--split", "all", "--report", file)
    assert result.returncode == 0, result.stderr
    return file


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_report_opens_without_errors_and_shows_its_images(width: int, report: Path, tmp_path: Path) -> None:
    """A browser reads it from disk, logs and loads nothing, and has all sections and images, framed by verdict."""
    look = look_at(report, tmp_path, width)
    assert (look.console, look.loaded, look.overhang) == ([], [], 0)
    assert look.titles[:3] == ["Confusion matrix", "By class", "Confidence"]
    assert look.titles[3:6] == ["Samples", "Most confident mistakes", "Most often confused"]
    assert (look.images > 28 + 21, look.broken, look.frames) == (True, 0, ["dashed", "solid"])


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_long_names_widen_no_page(width: int, tmp_path: Path) -> None:
    """Names of classes and files without any space are cut, turned or broken, in a table or elsewhere."""
    names, labels = ("x" * 300, "y" * 300), np.array([0, 0, 1, 1])
    split = Split("x", ArrayStore(np.zeros((4, 1, 4, 4), np.uint8)), labels, names, ["z" * 300] * 4)
    predicted = np.array([0, 1, 0, 1])
    seen = LabelledPredictions.of(split, predicted, np.full(4, 0.7, dtype=np.float32))
    page = tmp_path / "page.html"
    page.write_text(render_page("long", decision_sections(seen)))
    look = look_at(page, tmp_path, width)
    assert (look.console, look.overhang, look.images) == ([], 0, 8)


@pytest.mark.parametrize("dark", [False, True])
def test_report_follows_the_colour_scheme(dark: bool, report: Path, tmp_path: Path) -> None:
    """Its paper is light or dark as the reader's system is, and the ink is the other."""
    paper, ink = paper_and_ink(report, tmp_path, dark=dark)
    assert (paper < 60) is dark
    assert (ink > 200 if dark else ink < 55) is True
