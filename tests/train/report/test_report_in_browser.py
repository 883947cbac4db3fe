from pathlib import Path

import numpy as np
import pytest

from helpers.browser import DESK, NEEDS_BROWSER, PHONE, look_at, paper_and_ink
from helpers.live_browser import running_browser
from helpers.page_checks import Faults, faults_of
from torchstone_runtime.report.page import render_page, style_sheet
from torchstone_train.data.augmented_samples import AugmentedSample
from torchstone_train.report import page as run_page
from torchstone_train.report.augmentation_section import augmentation_section

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


def test_report_is_for_everybody(tiny_run: Path, tmp_path: Path) -> None:
    """On a phone, in the dark, on paper and for a screen reader, as every other page is."""
    with running_browser(tmp_path) as browser:
        found = faults_of(browser.new_tab(), tiny_run / "report.html")
    assert found == Faults()


def test_augmented_pictures_are_seen_on_a_phone(tmp_path: Path) -> None:
    """In rows of three: side by side they were specks."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 64, 64), dtype=np.uint8)
    sample = AugmentedSample("striped-skunk", "train/striped-skunk/photo.jpg", pixels[0], pixels)
    body = f"<h1>Augmented</h1>{augmentation_section([sample], 'flips')}"
    page = tmp_path / "page.html"
    page.write_text(render_page("augmented", body, style_sheet(run_page.__package__, "curves.css")))
    with running_browser(tmp_path) as browser:
        assert faults_of(browser.new_tab(), page) == Faults()
