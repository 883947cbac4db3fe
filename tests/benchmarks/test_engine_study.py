"""The study of large networks goes on where it was stopped, and its page says of each aim what was found."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine import page, study
from benchmarks.places import RESULTS


def test_a_cell_that_is_there_is_not_measured_again(tmp_path: Path) -> None:
    """A script that doesn't exist would fail."""
    cell = study.Cell("stored", "no_such_script")
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / "stored.json").write_text("{}", encoding="utf-8")

    assert study.measure(cell, tmp_path) == ""


def test_a_cell_that_fails_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    """So that the same command tries it again."""
    assert study.measure(study.Cell("broken", "no_such_script"), tmp_path).startswith("broken: exit code")
    assert not list((tmp_path / "cells").iterdir())


@pytest.mark.parametrize(
    ("low", "high", "at_least", "found"),
    [
        (1.2, 1.3, True, "met"),
        (1.0, 1.1, True, "missed"),
        (1.1, 1.2, True, "not settled"),
        (None, None, True, "not settled"),
        (0.9, 1.1, False, "met"),
        (1.2, 1.3, False, "missed"),
    ],
)
def test_an_aim_is_met_or_missed_where_the_whole_interval_says_so(
    low: float | None, high: float | None, at_least: bool, found: str
) -> None:
    """The aim is 1.15 in either direction."""
    assert page.verdict({"low": low, "high": high}, 1.15, at_least=at_least) == f"1.15: {found}"


def test_the_committed_page_of_large_networks_is_that_of_its_results() -> None:
    """Else run `python -m benchmarks.engine.page`."""
    kept: dict[str, Any] = json.loads((RESULTS / "engine-study.json").read_text(encoding="utf-8"))

    assert page.PAGE.read_text(encoding="utf-8") == page.page(kept)


def test_a_part_that_was_not_measured_has_no_section() -> None:
    """The others are written as they are."""
    kept = json.loads((RESULTS / "engine-study.json").read_text(encoding="utf-8"))
    kept["cells"] = {name: cell for name, cell in kept["cells"].items() if cell["script"] != "callers"}

    assert "## Sixteen callers" not in page.page(kept)
    assert "## Pictures as arrays" in page.page(kept)
