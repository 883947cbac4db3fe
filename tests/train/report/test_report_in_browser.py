from pathlib import Path

import pytest

from helpers.browser import DESK, NEEDS_BROWSER, PHONE, look_at, paper_and_ink

pytestmark = NEEDS_BROWSER


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_report_opens_without_errors_and_shows_its_images(width: int, tiny_run: Path, tmp_path: Path) -> None:
    """A browser reads it from disk, logs and loads nothing, and has all sections and images side by side."""
    look = look_at(tiny_run / "report.html", tmp_path, width)
    assert (look.console, look.loaded, look.overhang) == ([], [], 0)
    assert look.titles[:4] == ["Over the epochs", "Confusion matrix", "By class", "Confidence"]
    assert look.titles[4:] == [
        *("Samples", "Most confident mistakes", "Most often confused", "Map of the images", "How it was made")
    ]
    assert look.images == (tiny_run / "report.html").read_text().count("<img ") > 0
    assert look.broken == 0


@pytest.mark.parametrize("dark", [False, True])
def test_report_follows_the_colour_scheme(dark: bool, tiny_run: Path, tmp_path: Path) -> None:
    """Its paper is light or dark as the reader's system is, and the ink is the other."""
    paper, ink = paper_and_ink(tiny_run / "report.html", tmp_path, dark=dark)
    assert (paper < 60) is dark
    assert (ink > 200 if dark else ink < 55) is True
