"""docs/reference/recipes.md shows how to add an architecture and a recipe; this follows it."""

import re
from pathlib import Path

import pytest

from helpers.in_process import run_in_process
from helpers.support import run_torchstone
from torchstone_train.networks.architectures import ARCHITECTURES
from torchstone_train.recipes.catalog import RECIPES

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "recipes.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def page_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the page's code; what it adds is gone after the test."""
    for table in (ARCHITECTURES, RECIPES):
        monkeypatch.setitem(table, "tiny", None)  # so that it is removed
    exec(CODE, {"__name__": "page"})  # noqa: S102 - our own page


@pytest.mark.usefixtures("page_followed")
def test_the_page_can_be_followed_from_training_to_a_verified_bundle(tmp_path: Path) -> None:
    """What the page adds trains, exports and verifies."""
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    for arguments in (
        ("train", "tiny", "--dataset", "digits", "--epochs", "2", "--out", run),
        ("export", run, "--out", bundle),
    ):
        result = run_in_process(*arguments)
        assert result.returncode == 0, result.stderr

    assert run_torchstone("verify", bundle, "--data", "digits").returncode == 0


def test_the_page_describes_every_recipe() -> None:
    """Its table has a row for each, and for no other."""
    table = PAGE.partition("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", table, re.MULTILINE)) == set(RECIPES)
