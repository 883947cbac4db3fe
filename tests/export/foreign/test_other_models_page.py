"""docs/how-to/other-models.md: its example works and prints what the page shows, and it knows every field of a spec."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.support import run_torchstone
from torchstone_export.foreign.model_spec import FIELDS

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "other-models.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (file: \S+|run) -->\n```\w+\n(.*?)```", re.DOTALL)


def check_session(text: str, folder: Path) -> None:
    """Run the commands of a console block in a folder; each must print the lines shown below it ('...': anything)."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        program, *arguments = shlex.split(command)
        if program == "python":
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            result = subprocess.run(
                [sys.executable, *arguments], cwd=folder, env=environment, check=False, capture_output=True, text=True
            )
        else:
            result = run_torchstone(*arguments, cwd=folder)
        assert result.returncode == 0, result.stderr
        expected = re.escape(shown.strip()).replace(re.escape("..."), "(?s:.*)")
        assert not expected or re.fullmatch(expected, result.stdout.strip()), result.stdout


@pytest.mark.slow
def test_the_example_works_as_shown(tmp_path: Path) -> None:
    """Its files are written, its commands run in order."""
    kinds = []
    for kind, text in BLOCK.findall(PAGE):
        kinds.append(kind)
        if kind == "run":
            check_session(text, tmp_path)
        else:
            (tmp_path / kind.removeprefix("file: ")).write_text(text)

    assert kinds == ["file: their_models.py", "file: their_script.py", "file: spec.toml", "run", "run"]


def test_the_page_has_every_field_of_a_spec() -> None:
    """And no others."""
    table = PAGE.split("## The spec")[1].split("##")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == {*FIELDS, "preprocess"}
