"""docs/how-to/browser.md: its commands work and print what it shows, and what it states of versions is so."""

import re
from pathlib import Path
from typing import Final

from helpers.in_process import run_in_process
from torchstone_runtime.web.ort_web import KNOWN, RECOMMENDED

PAGE: Final = (Path(__file__).parents[3] / "docs" / "how-to" / "browser.md").read_text(encoding="utf-8")


def test_the_commands_print_what_the_page_shows(ort_web: Path, tmp_path: Path) -> None:
    """With the package where npm puts it."""
    (session,) = re.findall(r"^<!-- session: web -->\n```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    install, shown = session.split("\n", 1)
    assert install == f"$ npm install onnxruntime-web@{RECOMMENDED}"
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "onnxruntime-web").symlink_to(ort_web)
    command, *lines = shown.splitlines()
    result = run_in_process(*command.removeprefix("$ torchstone ").split(), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (result.stdout + result.stderr).splitlines() == lines


def test_the_known_versions_are_listed() -> None:
    """All of them, in their order."""
    *first, last = KNOWN
    assert f"known versions are {', '.join(first)} and {last}" in PAGE
