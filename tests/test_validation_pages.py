"""The commands and programs of docs/how-to/conformal.md and docs/how-to/drift.md print what they show."""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.readme import masked

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {name: (DOCS / "how-to" / f"{name}.md").read_text(encoding="utf-8") for name in ("conformal", "drift")}
COMMANDS = [
    (page, *part.partition("\n")[::2])
    for page, text in PAGES.items()
    for block in re.findall(r"^```\n(\$ .*?)^```", text, re.MULTILINE | re.DOTALL)
    for part in re.split(r"^\$ torchstone ", block, flags=re.MULTILINE)[1:]
]
PROGRAMS = [
    (page, block)
    for page, text in PAGES.items()
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden images of the built-in bundle in `pictures`, and `boot.png`."""
    made = tmp_path_factory.mktemp("page")
    result = run_in_process("inspect", "fashion", "--golden-images", "pictures", cwd=made)
    assert result.returncode == 0, result.stderr
    shutil.copy(made / "pictures" / "golden-00.png", made / "boot.png")
    return made


@pytest.mark.parametrize(("page", "command", "shown"), COMMANDS)
def test_a_command_prints_what_the_page_shows(folder: Path, page: str, command: str, shown: str) -> None:
    """Line by line; the page may leave lines out."""
    del page
    result = run_in_process(*command.split(), cwd=folder)
    printed = {masked(line) for line in (result.stdout + result.stderr).splitlines()}

    assert result.returncode == 0, result.stderr
    assert {masked(line) for line in shown.splitlines()} <= printed


@pytest.mark.parametrize(("page", "program"), PROGRAMS)
def test_a_program_prints_what_its_comments_say(
    folder: Path, page: str, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each `print` has what it prints behind it, up to a colon."""
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(program, page, "exec"), {})  # noqa: S102 - our own page
    said = [found.partition(":")[0].strip() for found in re.findall(r"print\(.*?  +# (.*)", program)]

    assert output.getvalue().splitlines() == said


def test_the_pages_have_commands_and_programs() -> None:
    """The patterns above have found them."""
    assert len(COMMANDS) == sum(text.count("\n$ ") for text in PAGES.values()) >= 4
    assert len(PROGRAMS) == 2
