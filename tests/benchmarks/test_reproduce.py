"""`reproduce`: reported beside measured, from trainings that are made once."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.recipe_results.benchmark_model import BenchmarkModel
from benchmarks.recipe_results.documents import DOCUMENTS, Document
from benchmarks.recipe_results.measure import measure_recipes
from benchmarks.recipe_results.reproduce import reproduce
from benchmarks.recipe_results.results_file import (
    RecipeResult,
    SeedResult,
    ServedFile,
    merge_results,
    read_results,
    write_results,
)
from benchmarks.recipe_results.results_page import mean_interval, render_results
from benchmarks.recipe_results.targets import TARGETS, natural_dataset
from helpers.in_process import short_stopwatch, without_matplotlib
from helpers.support import assert_refused
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.corruption import CORRUPTIONS
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.evaluation.robustness import measure_robustness
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.summary_metrics import SummaryMetrics
from torchstone_train.recipes.catalog import RECIPES
from torchstone_train.recipes.measured import load_measured
from torchstone_train.recipes.recipe import Recipe
from torchstone_train.run.run_dir import RunDirectory

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OTHER = ("sprint-mnist", "--dataset", "digits", "--seeds", "1")


def run_reproduce(*arguments: str | Path, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the command in a fresh interpreter, in a folder of one's own; without figures, which take longer."""
    module = "benchmarks.recipe_results.reproduce"
    program = f"import runpy, sys; sys.modules['matplotlib'] = None; runpy.run_module({module!r}, run_name='__main__')"
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


@contextmanager
def quick_recipe() -> Iterator[str]:
    """Make `mlp` a document's recipe that trains in a second, on the digits, and leave out figures, which take longer.

    A cascade's runs leave out the same samples: hence the share.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchstone_train.report.figures.save_figures", lambda *_: None)
        patch.setattr("torchstone_train.report.figures.draw_for_log", lambda *_: {})
        patch.setitem(RECIPES, "mlp", replace(RECIPES["mlp"], epochs=1, val_fraction=0.1))
        patch.setitem(DOCUMENTS, "mlp", Document("001", "mlp", "digits", {"accuracy": 0.5}))
        yield "mlp"


@pytest.fixture
def quick_document() -> Iterator[str]:
    """The name of that recipe, for one test."""
    with quick_recipe() as name:
        yield name


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecipeResult]:
    """The folder of that recipe's two seeds, trained, exported and measured once, and the result. Copy the folder."""
    out = tmp_path_factory.mktemp("measured")
    with quick_recipe() as name:
        (group,) = measure_recipes([name], range(2), out, out, print)
    return out, group


@pytest.fixture(scope="module")
def other_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the command measured one seed of `sprint-mnist` on the digits. Don't change it: copy it.

    In this process, which has PyTorch; a process of its own finds there what is finished.
    """
    folder = tmp_path_factory.mktemp("other")
    (folder / "page").mkdir()
    shutil.copy(DOCS / "reference" / "results.json", folder / "page" / "results.json")
    given = [*OTHER, "--out", f"{folder / 'out'}", "--results", f"{folder / 'page' / 'results.md'}"]
    with without_matplotlib():
        reproduce.main(given, standalone_mode=False)
    return folder


def stamps(folder: Path) -> dict[Path, int]:
    """Return when each file below a folder was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_seed_is_trained_exported_and_measured_once(
    quick_document: str, measured: tuple[Path, RecipeResult], tmp_path: Path
) -> None:
    """A second call finds everything and repeats nothing; the data and the page say the same."""
    out, group = measured
    before = stamps(out)
    said: list[str] = []
    second = measure_recipes([quick_document], range(2), out, out, said.append)
    assert re.search(r"; 1 of 2 done, \d+:\d\d:\d\d left$", said[1])
    assert said[3].endswith("; 2 of 2 done")
    write_results(tmp_path / "results.json", [group])
    page = render_results(read_results(tmp_path / "results.json"))

    assert [group] == second == read_results(tmp_path / "results.json")
    assert stamps(out) == before
    assert [item.seed for item in group.seeds] == [0, 1]
    assert f"{math.fsum(group.accuracies) / 2:.4f}" in page
    assert "| `mlp` | 001 | digits | 0.5000 |" in page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_is_recorded_is_what_the_served_file_does(
    quick_document: str, measured: tuple[Path, RecipeResult], tmp_path: Path
) -> None:
    """Accuracy clean and corrupted, of the variant that the bundle serves; another export is measured again."""
    out = shutil.copytree(measured[0], tmp_path / "out")
    with short_stopwatch():
        (again,) = measure_recipes([quick_document], [0], out, tmp_path, print, int8=True)
    for result, tried in ((measured[1].seeds[0], False), (again.seeds[0], True)):
        assert result.file is not None
        assert result.robustness is not None
        assert any(line.startswith("int8:") for line in result.file.verdict) == tried
    served, record = again.seeds[0].file, again.seeds[0].robustness
    with Classifier.load(out / "mlp" / "seed-0.bundle", provider="cpu") as classifier:
        test = Dataset(DatasetRef("digits"), tmp_path).test()
        found = measure_robustness(classifier, test, ["shift"], [5])
        assert served is not None
        assert served.variant == classifier.plan.variant
    assert record is not None
    assert record["clean"] == found.clean.to_json()
    assert record["accuracy"]["shift"][4] == found.settings["shift", 5].accuracy
    assert again.seeds[0].parameters == 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_cascade_is_made_of_its_recipes_runs_and_measured_as_one(
    quick_document: str, measured: tuple[Path, RecipeResult], other_dataset: Path, tmp_path: Path
) -> None:
    """Its row says what it is; a second call finds runs and bundle, also where a run lacks a newer field of recipes."""
    shutil.copytree(measured[0], tmp_path, dirs_exist_ok=True)
    shutil.copytree(other_dataset / "out", tmp_path, dirs_exist_ok=True)
    name = f"sprint-mnist+{quick_document}-mirror"
    ((item,), folder) = (measure_recipes([name], [0], tmp_path, tmp_path, print), tmp_path / name)
    run = tmp_path / quick_document / "seed-0" / "run.json"
    written = json.loads(run.read_text())
    written["recipe"].pop("teacher")
    run.write_text(json.dumps(written))
    before = stamps(tmp_path)
    (again,) = measure_recipes([name], [0], tmp_path, tmp_path, print)
    cascade = Bundle.open(folder / "seed-0.bundle").manifest.provenance["cascade"]
    page = render_results([item])

    assert item == again
    assert stamps(tmp_path) == before
    assert cascade["fast"]["recipe"]["name"] == "sprint-mnist"
    assert cascade["routing"]["mirror"]
    assert item.seeds[0].parameters == 57018 + 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10
    assert f"| `{name}` | digits | **{item.accuracies[0]:.4f}** |" in page
    assert f"| `{name}` | 0 | {item.accuracies[0]:.4f} | {item.seeds[0].validation_accuracy:.4f} | — |" in page
    assert "[cascade](../how-to/cascade.md)" in page


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_pupil_learns_from_its_recipes_teacher(
    quick_document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is trained and exported first, with the same seed; without it, the run is no result of the recipe."""
    taught = replace(RECIPES[quick_document], teacher="sprint-mnist", val_fraction=0.1)
    monkeypatch.setitem(RECIPES, quick_document, taught)
    measure_recipes([quick_document], [1], tmp_path, tmp_path, print, dataset="digits")
    run = RunDirectory.open(tmp_path / quick_document / "seed-1")
    (teacher,) = run.read_info()["teachers"]
    monkeypatch.setitem(RECIPES, quick_document, replace(taught, teacher="sprint"))

    assert (teacher["name"], teacher["seed"]) == ("sprint-mnist", 1)
    assert (tmp_path / "sprint-mnist-on-digits" / "seed-1.bundle").is_dir()
    with pytest.raises(DataError, match="other settings of mlp"):
        measure_recipes([quick_document], [1], tmp_path, tmp_path, print, dataset="digits")


def test_a_run_without_the_recipes_teacher_is_refused(
    digits_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`torchstone train` takes teachers or none; a result of the recipe has its own."""
    shutil.copytree(digits_run, tmp_path / "cnn3-on-digits" / "seed-0")
    done = Recipe.from_json(RunDirectory.open(digits_run).read_info()["recipe"])
    monkeypatch.setitem(RECIPES, "cnn3", replace(done, teacher="mlp"))
    path = tmp_path / "cnn3-on-digits" / "seed-0" / "run.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps(info | {"recipe": RECIPES["cnn3"].to_json()}))
    with pytest.raises(DataError, match="other teachers than cnn3 has: none"):
        measure_recipes(["cnn3"], [0], tmp_path, tmp_path, print, dataset="digits")


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("stone-s", BenchmarkModel("stone-s")),
        ("stone-s+stone-l", BenchmarkModel("stone-l", "stone-s")),
        ("stone-s+stone-l-mirror", BenchmarkModel("stone-l", "stone-s", mirror=True)),
    ],
)
def test_names_of_models_are_read_as_they_are_written(name: str, model: BenchmarkModel) -> None:
    """A recipe, or a cascade of two."""
    assert BenchmarkModel.parse(name) == model
    assert model.name == name


@pytest.mark.parametrize("name", ["stone-x", "stone-s+", "+stone-s", "stone-s+stone-x", "a+b+c", "stone-s-mirror"])
def test_a_name_without_a_recipe_is_refused(name: str) -> None:
    """Of a cascade, either part."""
    with pytest.raises(UsageError, match="There is no recipe"):
        BenchmarkModel.parse(name)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_another_dataset_has_a_folder_of_its_own_and_keeps_the_other_rows(other_dataset: Path, tmp_path: Path) -> None:
    """Through the command line, beside the committed results; then from the finished run, without training again."""
    folder = shutil.copytree(other_dataset, tmp_path / "again")
    results, run = folder / "page" / "results.md", folder / "out" / "sprint-mnist-on-digits" / "seed-0" / "run.json"
    stamp, page = run.stat().st_mtime_ns, results.read_text()
    assert run_reproduce(*OTHER, "--out", folder / "out", "--results", results).returncode == 0

    assert run.stat().st_mtime_ns == stamp
    assert results.read_text() == page
    assert page.count("\n| `cnn3` |") == 4
    assert "\n| `sprint-mnist` | digits | **" in page
    assert "\n| `sprint-mnist` on digits | 0 |" in page
    assert len(read_results(results.with_suffix(".json"))) == len(read_results(DOCS / "reference" / "results.json")) + 1


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (("cnn",), ("no recipe 'cnn'", "Did you mean")),
        (("--dataset", "digits"), ("--dataset without a recipe",)),
        (("cnn3", "--dataset", "digit"), ("digits",)),
        (("cnn3", "--results", "results.json"), ("results.md",)),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: tuple[str, ...], fragments: tuple[str, ...], tmp_path: Path
) -> None:
    """With one message, and nothing is written."""
    assert_refused(run_reproduce(*arguments, cwd=tmp_path), *fragments)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_data_file_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    """It is left as it is."""
    (tmp_path / "results.json").write_text('{"format": "else"}')
    result = run_reproduce("mlp", "--results", "results.md", cwd=tmp_path)

    assert_refused(result, "results.json holds no results")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_a_run_with_other_settings_is_refused(digits_run: Path, tmp_path: Path) -> None:
    """Three epochs are not the recipe's ten: such a run is no result of the recipe."""
    shutil.copytree(digits_run, tmp_path / "cnn3-on-digits" / "seed-0")
    with pytest.raises(DataError, match="other settings of cnn3"):
        measure_recipes(["cnn3"], [0], tmp_path, tmp_path, print, dataset="digits")


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


def a_seed(seed: int, accuracy: float, **others: Any) -> SeedResult:  # noqa: ANN401 - any of its fields
    """Return a training with all that a test does not care about."""
    test = {"accuracy": accuracy, "precision_weighted": 0.8, "recall_weighted": 0.9, "f1_weighted": 0.85}
    figures: dict[str, Any] = {
        "train_accuracy": 0.95,
        "validation_accuracy": 0.91,
        "epochs_run": 10,
        "best_epoch": 8,
        "stop_reason": "max_epochs",
        "seconds_per_epoch": 12.3,
        "device": "2 CPU threads",
        "processor": "a processor",
        "versions": {"python": "3.11.7", "torch": "2.15.0"},
    }
    return SeedResult(seed=seed, test=test, **{**figures, **others})


def a_result(recipe: str, dataset: str, *accuracies: float, **others: Any) -> RecipeResult:  # noqa: ANN401 - likewise
    """Return the result of trainings with these test accuracies."""
    seeds = [a_seed(seed, accuracy, **others) for seed, accuracy in enumerate(accuracies)]
    return RecipeResult.of(recipe, dataset, RECIPES[recipe].to_json(), seeds)


def test_the_page_has_a_row_a_recipe_and_a_row_a_seed() -> None:
    """With what the document reported beside what was measured, and the machine."""
    page = render_results([a_result("cnn3", "fashion-mnist", 0.9, 0.9)])

    assert page.count("\n| `cnn3` |") == 3
    assert "0.8000 (reported 0.9139)" in page
    assert "- `cnn3`: a processor; trained on 2 CPU threads; Python 3.11.7, PyTorch 2.15.0." in page
    assert "Robustness" not in page


def test_recipes_without_a_document_are_held_to_their_targets() -> None:
    """On the mean; a document's recipe on another dataset stands with them, without a target."""
    own = [a_result("stone-s", "fashion-mnist", 0.934, 0.936), a_result("stone-m-mnist", "mnist", 0.9955, 0.9956)]
    page = render_results([*own, a_result("cnn3", "mnist", 0.99)])

    assert re.search(r"\| `stone-s` \| fashion-mnist \| \*\*0.9350\*\* ± .* \| 0.933: met \| 0.940: \*\*not met", page)
    assert re.search(r"\| `stone-m-mnist` \| mnist \| \*\*0.9956\*\* ± .* \| 0.996: \*\*not met\*\* \|  \|", page)
    assert "| `cnn3` | mnist | **0.9900** |  |  | 1 |" in page
    assert "The starting documents" not in page


def test_robustness_is_the_mean_over_the_seeds() -> None:
    """A row a recipe whose seeds were all measured, in three tables, with the file that was."""
    behaviour = SummaryMetrics(0.7, 0.1, {0.95: 0.75, 0.99: 0.72}, {0.95: 0.5, 0.99: 0.3})
    better = replace(behaviour, accuracy=0.9)
    file = ServedFile(variant="int8", size=1234, sha256="0", passed=True, verdict=("int8: fast",))

    def record(least: float) -> dict[str, Any]:
        accuracy = {name: [least, 0.7, 0.7, 0.7, 0.7] for name in CORRUPTIONS}
        return {"seed": 0, "clean": better.to_json(), "corrupted": behaviour.to_json(), "accuracy": accuracy}

    seeds = [a_seed(seed, 0.9, robustness=record(0.6 + 0.2 * seed), file=file, parameters=77777) for seed in (0, 1)]
    measured = RecipeResult.of("stone-s", "fashion-mnist", {}, seeds)
    page = render_results([measured, a_result("stone-l", "fashion-mnist", 0.95)])

    assert "| `stone-s` | fashion-mnist | int8 (certified) | 0.9000, 0.7000 | 0.1000, 0.1000 | 0.7500, 0.7500 |" in page
    assert f"| `stone-s` | fashion-mnist |{' 0.7000 |' * 11}" in page
    assert f"| `stone-s` | fashion-mnist |{' 0.7000 |' * 6}" in page
    assert "| 77,777 | int8 (certified) | 1,234 |" in page
    assert page.count("| `stone-l` | fashion-mnist |") == 1


def test_a_result_takes_the_place_of_the_same_recipe_on_the_same_dataset(tmp_path: Path) -> None:
    """With all its seeds; everything else stays, the documents' recipes first, in the order of the recipes."""
    kept = [a_result("stone-l", "fashion-mnist", 0.1), a_result("cnn3", "fashion-mnist", 0.2, 0.3)]
    measured = [a_result("cnn3", "fashion-mnist", 0.4), a_result("stone-m-mnist", "mnist", 0.5)]
    merged = merge_results(kept, measured)
    write_results(tmp_path / "results.json", merged)

    assert [(*item.key, item.accuracies) for item in merged] == [
        ("cnn3", "fashion-mnist", [0.4]),
        ("stone-m-mnist", "mnist", [0.5]),
        ("stone-l", "fashion-mnist", [0.1]),
    ]
    assert read_results(tmp_path / "results.json") == merged


COMMITTED = read_results(DOCS / "reference" / "results.json")


def test_the_committed_page_is_that_of_its_data() -> None:
    """Not a character was written by hand."""
    assert (DOCS / "reference" / "results.md").read_text(encoding="utf-8") == render_results(COMMITTED)


def without_summary(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings without what people read, whatever fields were added with a default since."""
    if "accurate" in settings:
        parts = {part: without_summary(settings[part]) for part in ("fast", "accurate")}
        return {**parts, "mirror": settings["mirror"]}
    return replace(Recipe.from_json(settings), summary="").to_json()


def test_committed_results_are_those_of_the_recipes_as_they_are() -> None:
    """Where a recipe's settings were recorded: one that was changed since has to be measured again."""
    for item in COMMITTED:
        if item.settings is not None:
            assert without_summary(item.settings) == without_summary(BenchmarkModel.parse(item.recipe).settings()), (
                item.key
            )


def test_the_listed_results_are_those_of_the_page() -> None:
    """`torchstone recipes` shows what docs/reference/results.md says; else run `recipe_results.listed_results`."""
    page = (DOCS / "reference" / "results.md").read_text(encoding="utf-8")
    row = r"^\| `([a-z0-9+-]+)` \| (?:\d{3} \| )?(\S+) \|.*?\*\*([\d.]{6})\*\*(?: ± ([\d.]+))?"
    found = [
        (name, data, float(mean), float(sd) if sd else None)
        for name, data, mean, sd in re.findall(row, page, re.MULTILINE)
    ]

    assert found == [(item.recipe, item.dataset, item.mean, item.deviation) for item in load_measured()]
    assert [item.seeds for item in load_measured()] == [len(item.seeds) for item in COMMITTED]


def test_every_recipe_has_a_dataset_of_its_own_and_every_target_a_recipe() -> None:
    """A document's recipe has the document's."""
    assert all(natural_dataset(name) == document.dataset for name, document in DOCUMENTS.items())
    assert {name for name in RECIPES if natural_dataset(name) == "mnist"} == {
        "mnist-cnn",
        "sprint-mnist",
        "stone-m-mnist",
    }
    own = {name for name, recipe in RECIPES.items() if recipe.method == "scratch"}  # of a backbone, no figure alone
    elsewhere = {"sprint-color"}  # measured on colour pictures, which none of the named datasets has
    assert {recipe for recipe, _ in TARGETS if "+" not in recipe} == own - set(DOCUMENTS) - elsewhere
    assert all(natural_dataset(BenchmarkModel.parse(name).recipe) == dataset for name, dataset in TARGETS)
