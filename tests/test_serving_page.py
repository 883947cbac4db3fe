"""Every command and program of docs/how-to/serving.md works and prints what the page shows; its tables are true."""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from helpers.readme import masked
from helpers.served import Asked, ask, server_process
from torchstone_runtime.serving.drift_watch import DriftWatch
from torchstone_runtime.serving.http.metrics_route import own_metrics
from torchstone_runtime.serving.http.shadow_metrics import shadow_metrics

PAGE: Final = (Path(__file__).parents[1] / "docs" / "how-to" / "serving.md").read_text(encoding="utf-8")
BLOCK: Final = re.compile(
    r"^<!-- (session|python): [\w-]+ -->\n```\w+\n(.*?)^```\n(?:```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL
)

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def commands() -> Iterator[tuple[str, str, str]]:
    """Yield the commands and programs of the page in their order: the kind, the text, what is shown below."""
    for kind, text, shown in BLOCK.findall(PAGE):
        if kind == "python":
            yield kind, text, shown
            continue
        for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield kind, command, output


def printed_by(kind: str, text: str, folder: Path, port: int) -> str:
    """Run a command, or a program, in `folder`, with another port in the place of 8000."""
    text = text.replace("8000", str(port))
    if kind == "python":
        with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.chdir(folder):
            exec(compile(text, "docs/how-to/serving.md", "exec"), {"__name__": "example"})  # noqa: S102 - our own page
        return output.getvalue()
    words = shlex.split(text)
    line = [sys.executable, "-m", "torchstone_runtime", *words[1:]] if words[0] == "torchstone" else words
    result = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder, timeout=60)
    assert result.returncode == 0, (text, result.stderr)
    return result.stdout + result.stderr


def test_what_the_page_shows_works_and_prints_that(tmp_path: Path) -> None:
    """In one session; the server that is started with `&` serves all of the page, and its `kill` comes at the end."""
    port, tried = 0, 0
    with ExitStack() as stack:
        for kind, text, shown in commands():
            tried += 1
            if text.startswith(("pip ", "kill ")):
                continue
            if text.startswith("torchstone serve"):
                server = stack.enter_context(server_process(*text.removesuffix("&").split()[2:]))
                port = server.port
                assert shown == "Serving fashion at http://127.0.0.1:8000\n"
                continue
            printed = {masked(line) for line in printed_by(kind, text, tmp_path, port).splitlines()}
            assert {masked(line) for line in shown.splitlines()} - {"..."} <= printed, text
    assert tried == 9


def test_every_path_and_metric_is_in_the_page(digits_bundle: Path) -> None:
    """And none that there isn't."""

    async def questions(asked: Asked) -> None:
        site = asked.app.site
        repository = site.repository
        families = [*own_metrics(site, repository.models(), asked.app.asgi.answered), *DriftWatch(repository).metrics()]
        shown = set(re.findall(r"`(torchstone_[a-z_]+)`", PAGE.partition("## Metrics")[2]))
        assert {family.name for family in families} == {name for name in shown if "shadow" not in name}
        document = (await asked("GET", "/openapi.json")).json
        table = PAGE.partition("## Paths")[2].partition("Each path")[0]
        for path, item in document["paths"].items():
            if "{version}" not in path:
                named = path.replace("{model}", "NAME").replace("/NAME/unload", "/NAME/load")
                assert f"{next(iter(item)).upper()} {named}`" in table, path

    ask(digits_bundle, questions)
    assert shadow_metrics(None) == []


def test_every_status_of_an_error_is_explained() -> None:
    """Those that the description of the paths has, and those of connections."""
    explained = set(re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE))
    source = Path(__file__).parents[1] / "runtime" / "torchstone_runtime" / "serving" / "http" / "openapi.py"
    stated = set(re.findall(r'^    "(\d{3})": ', source.read_text(encoding="utf-8"), re.MULTILINE))
    assert stated < explained
    assert explained - stated == {"405", "431"}


def test_the_page_has_no_command_that_nothing_runs() -> None:
    """Blocks with a prompt are marked."""
    assert PAGE.count("\n$ ") == sum(text.count("\n$ ") + text.startswith("$ ") for _, text, _ in BLOCK.findall(PAGE))
    assert os.linesep == "\n" or "\r" not in PAGE
