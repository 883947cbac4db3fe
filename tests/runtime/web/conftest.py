"""Fixtures of the pages' tests: onnxruntime-web, a site, a server for it, and a browser."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.live_browser import Browser, Tab, running_browser
from helpers.loopback import loopback_server
from torchstone_runtime.web.ort_web import RECOMMENDED

Serve = Callable[[Path], str]


@pytest.fixture(scope="session")
def ort_web(make_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """The package as npm has it: that of TORCHSTONE_ORT_WEB, or installed once; skips where there is neither."""
    if given := os.environ.get("TORCHSTONE_ORT_WEB"):
        return Path(given)
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, and TORCHSTONE_ORT_WEB names no onnxruntime-web")

    def install(folder: Path) -> None:
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--prefix", str(folder)]
        command = [npm, "install", *options, f"onnxruntime-web@{RECOMMENDED}"]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=180)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            (folder / "missing").touch()

    folder = make_once("ort-web", install)
    if (folder / "missing").exists():
        pytest.skip("npm cannot install onnxruntime-web here")
    return folder / "node_modules" / "onnxruntime-web"


@pytest.fixture(scope="module")
def site(ort_web: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the built-in bundle. Don't change it: copy it."""
    folder = tmp_path_factory.mktemp("web") / "site"
    result = run_in_process("web", "fashion", "--out", folder, "--ort-web", ort_web)
    assert result.returncode == 0, result.stderr
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """Serve folders as `python -m http.server` does, and return the address of each."""
    with ExitStack() as running:

        def start(folder: Path) -> str:
            handler = functools.partial(_Quiet, directory=str(folder))
            return f"{running.enter_context(loopback_server(handler))}/"

        yield start


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for the tests of a file."""
    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture
def tab(browser: Browser) -> Tab:
    """An empty page of it, as wide as a desk's."""
    opened = browser.new_tab()
    opened.show_as(width=1200)
    return opened
