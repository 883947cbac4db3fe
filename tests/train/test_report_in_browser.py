import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")]


def browse(page: Path, profile: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Open a page from disk without a window."""
    command = [str(BROWSER), *QUIET, f"--user-data-dir={profile}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def test_report_opens_without_errors_and_shows_its_images(tiny_run: Path, tmp_path: Path) -> None:
    """A browser reads it from disk, logs nothing to its console, and has all sections and images."""
    result = browse(tiny_run / "report.html", tmp_path, "--dump-dom")
    assert "CONSOLE" not in result.stderr
    titles = re.findall(r"<h2>(.*?)</h2>", result.stdout)
    assert titles[:4] == ["Over the epochs", "Confusion matrix", "By class", "Confidence"]
    assert titles[4:] == ["Samples", "Most confident mistakes", "Most often confused", "How it was made"]
    assert result.stdout.count("<img ") == (tiny_run / "report.html").read_text().count("<img ")


@pytest.mark.parametrize(("scheme", "dark"), [("1", False), ("0", True)])
def test_report_follows_the_colour_scheme(scheme: str, dark: bool, tiny_run: Path, tmp_path: Path) -> None:
    """Its paper is light or dark as the reader's system is, and the ink is the other."""
    shot = tmp_path / "shot.png"
    options = (f"--blink-settings=preferredColorScheme={scheme}", "--window-size=900,900", f"--screenshot={shot}")
    browse(tiny_run / "report.html", tmp_path / "profile", *options)
    with Image.open(shot) as image:
        gray = np.asarray(image.convert("L"))
    paper = int(gray[3, 3])
    assert (paper < 60) is dark
    assert (gray.max() if dark else 255 - gray.min()) > 200
