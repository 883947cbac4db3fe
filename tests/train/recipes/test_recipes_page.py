"""docs/reference/recipes.md shows how to add an architecture and a recipe; this follows it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.support import run_torchstone
from torchstone_train.recipes.catalog import RECIPES

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


def run_with_page(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command line in an interpreter that has run the page's code."""
    without_pictures = "import sys\nsys.modules['matplotlib'] = None\n"
    script = f"{without_pictures}{CODE}\nfrom torchstone_runtime.cli.main import main\nmain(sys.argv[1:])\n"
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_page_can_be_followed_from_training_to_a_verified_bundle(tmp_path: Path) -> None:
    """What the page adds trains, exports and verifies."""
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    for arguments in (
        ("train", "tiny", "--dataset", "digits", "--epochs", "2", "--out", run),
        ("export", run, "--out", bundle),
    ):
        result = run_with_page(*arguments)
        assert result.returncode == 0, result.stderr

    assert run_torchstone("verify", bundle, "--data", "digits").returncode == 0


def test_the_page_describes_every_recipe() -> None:
    """Its table has a row for each, and for no other."""
    table = PAGE.partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)) == set(RECIPES)
