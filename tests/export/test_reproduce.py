"""`torchstone reproduce`: reported beside measured, from trainings that are made once."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from support import assert_refused, run_torchstone
from torchstone_export.reproduce import SeedResult, reproduce
from torchstone_export.results_page import mean_interval, render_results
from torchstone_train.documents import DOCUMENTS, MEASURED, Document
from torchstone_train.recipes import RECIPES


@pytest.fixture
def quick_document(monkeypatch: pytest.MonkeyPatch) -> str:
    """A document whose recipe trains in a second, on the digits."""
    monkeypatch.setitem(RECIPES, "mlp", replace(RECIPES["mlp"], epochs=1))
    monkeypatch.setitem(DOCUMENTS, "mlp", Document("001", "mlp", "digits", {"accuracy": 0.5}))
    return "mlp"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_seed_is_trained_exported_and_measured_once(quick_document: str, tmp_path: Path) -> None:
    """A second call finds everything and repeats nothing; the data and the page say the same."""
    said: list[str] = []
    first = reproduce([quick_document], range(2), tmp_path / "out", tmp_path, said.append)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.name != "results.json"}
    second = reproduce([quick_document], range(2), tmp_path / "out", tmp_path, said.append)
    page = render_results(first, "torchstone reproduce mlp --seeds 2")

    assert first == second
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert [item["seed"] for item in json.loads((tmp_path / "out" / "results.json").read_text())] == [0, 1]
    assert f"{math.fsum(item.test['accuracy'] for item in first) / 2:.4f}" in page
    assert "| `mlp` | 001 | digits | 0.5000 |" in page


def test_a_recipe_without_a_document_is_refused(tmp_path: Path) -> None:
    """The nearest one is suggested, and nothing is written."""
    result = run_torchstone("reproduce", "cnn", "--results", "results.md", cwd=tmp_path)

    assert_refused(result, "No starting document", "Did you mean")
    assert list(tmp_path.iterdir()) == []


def test_every_document_has_a_recipe() -> None:
    """Five documents, each with a recipe of its own."""
    assert len(DOCUMENTS) == 5
    assert set(DOCUMENTS) <= set(RECIPES)


@given(st.lists(st.floats(0.5, 1), min_size=2, max_size=15))
def test_the_interval_is_students(values: list[float]) -> None:
    """Checked against SciPy."""
    mean, deviation, half = mean_interval(values)
    spread = float(np.std(values, ddof=1))
    expected = stats.t.ppf(0.975, len(values) - 1) * spread / math.sqrt(len(values))

    assert mean == pytest.approx(sum(values) / len(values))
    assert deviation == pytest.approx(spread, abs=1e-12)
    assert half == pytest.approx(expected, rel=1e-3, abs=1e-12)


def test_one_seed_has_no_interval() -> None:
    """Nothing can be said about the spread of one value."""
    mean, deviation, half = mean_interval([0.9])

    assert mean == 0.9
    assert math.isnan(deviation)
    assert math.isnan(half)


def test_the_page_has_a_row_a_recipe_and_a_row_a_seed() -> None:
    """In the order in which they were measured."""
    result = SeedResult(
        recipe="cnn3",
        dataset="fashion-mnist",
        seed=0,
        test={"accuracy": 0.9, "precision_weighted": 0.8, "recall_weighted": 0.9, "f1_weighted": 0.85},
        train_accuracy=0.95,
        validation_accuracy=0.91,
        epochs_run=10,
        best_epoch=8,
        stop_reason="max_epochs",
        seconds_per_epoch=12.3,
        device="2 CPU threads",
        versions={"python": "3.11.7", "torch": "2.15.0"},
    )
    page = render_results([result, replace(result, seed=1)], "torchstone reproduce")

    assert page.count("\n| `cnn3` |") == 3
    assert "0.8000 (reported 0.9139)" in page


def test_the_listed_results_are_those_of_the_page() -> None:
    """`torchstone recipes` shows what docs/results.md says, and nothing that it does not."""
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| \d{3} \| (\S+) \|.*?\*\*([\d.]+)\*\* ± ([\d.]+)", page, re.MULTILINE)
    found = {recipe: (dataset, float(mean), float(deviation)) for recipe, dataset, mean, deviation in rows}

    assert found == {name: (item.dataset, item.mean, item.deviation) for name, item in MEASURED.items()}
