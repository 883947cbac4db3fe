"""CONTRIBUTING.md's map and recipes: every place is there, none is missing, and following a recipe works."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.corruption import CORRUPTIONS, Corruption, corrupt
from torchstone_runtime.corruption.random_streams import ImageStreams
from torchstone_train.networks import architectures
from torchstone_train.networks.architectures import ARCHITECTURES, ModelShape
from torchstone_train.recipes.catalog import CNN3, RECIPES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP, RECIPES_FOR = (
    re.search(rf"^## {title}\n(.*?)^## ", PAGE, re.MULTILINE | re.DOTALL) for title in ("Where things are", "To add …")
)
TREES = {
    "runtime/torchstone_runtime",
    "train/torchstone_train",
    "export/torchstone_export",
    "benchmarks",
    "tests",
}


def trees() -> dict[str, set[str]]:
    """Return the folders that the page's tables list, by the place that each table describes."""
    assert MAP is not None
    tables = re.findall(r"^`([\w/]+)/`: .*\n\n((?:\|.*\n)+)", MAP[1], re.MULTILINE)
    return {place: set(re.findall(r"^\| `(\w+)/` \| \S", rows, re.MULTILINE)) for place, rows in tables}


def test_every_tree_is_there() -> None:
    """The packages, the benchmarks and the tests have a table each."""
    assert set(trees()) == TREES


@pytest.mark.parametrize("place", sorted(TREES))
def test_every_folder_has_a_phrase_and_no_other(place: str) -> None:
    """Folders with Python, JSON or a bundle in them; not what tools leave behind."""
    present = {
        folder.name
        for folder in (ROOT / place).iterdir()
        if folder.is_dir() and folder.name[0] not in "._" and any(file.suffix != ".pyc" for file in folder.rglob("*.*"))
    }
    assert trees()[place] == present


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:runtime|train|export|benchmarks|tests|docs)/[\w./]+)`", PAGE)))
)
def test_every_path_that_is_named_exists(path: str) -> None:
    """Wherever the page names one."""
    assert (ROOT / path).exists()


def test_there_is_a_recipe_for_each_thing_that_is_added() -> None:
    """Metric, corruption, provider, recipe and command."""
    assert RECIPES_FOR is not None
    titles = re.findall(r"^\*\*(.+)\*\*$", RECIPES_FOR[1], re.MULTILINE)
    assert titles == ["A metric", "A corruption", "A provider", "A recipe", "A command"]


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("runtime/torchstone_runtime/corruption/catalog.py", "_ALL"),
        ("runtime/torchstone_runtime/inference/providers.py", "PROVIDERS"),
        ("train/torchstone_train/networks/architectures.py", "ARCHITECTURES"),
        ("train/torchstone_train/recipes/catalog.py", "RECIPES"),
        ("runtime/torchstone_runtime/cli/main.py", "_RUNTIME_COMMANDS"),
        ("runtime/torchstone_runtime/cli/main.py", "_SECTIONS"),
    ],
)
def test_the_registries_are_in_the_files_that_the_recipes_name(file: str, name: str) -> None:
    """The page names both, and the file defines the name."""
    assert f"`{file}`" in PAGE
    assert f"`{name}`" in PAGE
    assert re.search(rf"^{name}: Final", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


def halved(images: Uint8Array, constant: float, streams: ImageStreams) -> Uint8Array:
    """Darken: what the first step of the recipe for a corruption asks for."""
    del streams
    return np.asarray(images * constant, dtype=np.uint8)


def test_a_corruption_that_is_added_is_measured_and_shown(digits_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its entry alone, the library and the command know it."""
    added = Corruption("darkness", halved, (0.9, 0.7, 0.5, 0.3, 0.1), "share of the light that is left", "light")
    monkeypatch.setitem(CORRUPTIONS, added.name, added)
    pixels = np.full((2, 1, 4, 4), 200, np.uint8)
    result = run_in_process("robustness", digits_bundle, "--data", "digits", "--corruption", "darkness")

    assert corrupt(pixels, "darkness", 3).max() == 100
    assert result.returncode == 0, result.stderr
    assert re.search(r"^darkness(?: +[\d.]+){6}$", result.stdout, re.MULTILINE)


def test_a_recipe_that_is_added_is_listed_and_builds_its_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its two entries alone."""
    monkeypatch.setitem(ARCHITECTURES, "twig", ARCHITECTURES["mlp"])
    recipe = replace(CNN3, name="twig-10", architecture="twig", summary="a twig of a network")
    monkeypatch.setitem(RECIPES, recipe.name, recipe)
    listed = run_in_process("recipes")

    assert listed.returncode == 0, listed.stderr
    assert re.search(r"twig-10.*", listed.stdout)
    assert "a twig of a network" in listed.stdout
    assert architectures.build_network("twig", ModelShape(1, 8, 8, 3)) is not None


@pytest.mark.slow
def test_a_recipe_that_is_added_can_be_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By its name, as any other."""
    monkeypatch.setattr("torchstone_train.report.figures.save_figures", lambda *_: None)
    monkeypatch.setitem(RECIPES, "twig-10", replace(RECIPES["mlp"], name="twig-10", epochs=1))
    result = run_in_process("train", "twig-10", "--dataset", "digits", "--out", tmp_path / "run")

    assert result.returncode == 0, result.stderr
    assert (tmp_path / "run" / "best.safetensors").is_file()
