from pathlib import Path

import pytest

from browser import DESK, NEEDS_BROWSER, PHONE, look_at, paper_and_ink
from support import run_torchstone

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def report(digits_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an exported model on all digits."""
    file = tmp_path_factory.mktemp("evaluated") / "report.html"
    result = run_torchstone("evaluate", digits_bundle, "--data", "digits", "--split", "all", "--report", file)
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


@pytest.mark.parametrize("dark", [False, True])
def test_report_follows_the_colour_scheme(dark: bool, report: Path, tmp_path: Path) -> None:
    """Its paper is light or dark as the reader's system is, and the ink is the other."""
    paper, ink = paper_and_ink(report, tmp_path, dark=dark)
    assert (paper < 60) is dark
    assert (ink > 200 if dark else ink < 55) is True
