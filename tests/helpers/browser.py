"""A report in a real browser, without a window: what it logs, loads and shows."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NEEDS_BROWSER = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")]
PHONE, DESK = 390, 1200
_QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
)
# The page is shown in a frame, which can be as narrow as a phone, and looked at from outside: it has no script itself.
_LOOK = """<!doctype html><iframe id="f" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>
<pre id="found"></pre><script>document.getElementById("f").onload = event => {{
const view = event.target.contentWindow, page = view.document, all = kind => [...page.querySelectorAll(kind)];
document.getElementById("found").textContent = JSON.stringify({{
  titles: all("h2").map(title => title.textContent),
  images: all("img").length,
  broken: all("img").filter(image => !image.complete || !image.naturalWidth).length,
  frames: [...new Set(all("figure").map(figure => view.getComputedStyle(figure).borderTopStyle))].sort(),
  loaded: view.performance.getEntriesByType("resource").map(entry => entry.name),
  overhang: page.documentElement.scrollWidth - page.documentElement.clientWidth,
}}); }}</script>"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a browser makes of a page.

    Attributes:
        console: what was logged, errors among it.
        titles: of the sections.
        images: all of them; `broken`: those that can't be shown.
        frames: styles of the frames around images, each once.
        loaded: addresses of what was loaded besides the page.
        overhang: pixels by which the page is wider than its window.
    """

    console: list[str]
    titles: list[str]
    images: int
    broken: int
    frames: list[str]
    loaded: list[str]
    overhang: int


def look_at(page: Path, folder: Path, width: int) -> Look:
    """Open a page from disk in a frame of that width; `folder` is for the browser's own files."""
    wrapped = folder / "wrapped.html"
    wrapped.write_text(_LOOK.format(width=width, page=escape(page.read_text())))
    result = _browse(wrapped, folder, "--dump-dom")
    found = re.search(r'<pre id="found">(.+?)</pre>', result.stdout)
    assert found is not None, result.stderr
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return Look(console=console, **json.loads(unescape(found[1])))


def paper_and_ink(page: Path, folder: Path, *, dark: bool) -> tuple[int, int]:
    """Return the brightness (0 to 255) of a page's corner and of what differs most from it."""
    shot = folder / "shot.png"
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    _browse(page, folder, scheme, "--window-size=900,900", f"--screenshot={shot}")
    with Image.open(shot) as image:
        gray = np.asarray(image.convert("L")).astype(int)
    paper = int(gray[3, 3])
    return paper, int(gray.ravel()[np.argmax(np.abs(gray - paper))])


def _browse(page: Path, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [str(BROWSER), *_QUIET, f"--user-data-dir={folder / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
