"""Draw docs/images/report.png anew: the top of the page that an evaluation of the built-in bundle writes.

    TORCHSTONE_DATA=... python docs/tools/report_picture.py

It needs Chromium or Chrome (the environment variable BROWSER names another one), and Fashion-MNIST.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click
from PIL import Image

PICTURE: Final = Path(__file__).parents[1] / "images" / "report.png"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_QUIET: Final = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
_SIZE: Final = (1120, 1500)
_COLORS: Final = 128
"""Of the picture: a page of few colours needs no more, and the file is a third as large."""


@click.command()
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=PICTURE, help="Picture to write.")
def main(out: Path) -> None:
    """Evaluate the built-in bundle on Fashion-MNIST's test split, and take a picture of the report."""
    names = [os.environ["BROWSER"]] if "BROWSER" in os.environ else _BROWSERS
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        raise click.ClickException("No Chromium was found. Install one, or name it in BROWSER.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page, shot = folder / "report.html", folder / "shot.png"
        command = [sys.executable, "-m", "torchstone_runtime", "evaluate", "fashion", "--data", "fashion-mnist"]
        subprocess.run([*command, "--report", page, "--explain", "0", "--quiet"], check=True)
        size = "--window-size={},{}".format(*_SIZE)
        profile = f"--user-data-dir={folder / 'profile'}"
        subprocess.run([browser, *_QUIET, profile, size, f"--screenshot={shot}", page.as_uri()], check=True)
        with Image.open(shot) as image:
            image.convert("RGB").quantize(_COLORS).save(out, optimize=True)


if __name__ == "__main__":
    main()
