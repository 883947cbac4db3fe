"""A thousand classes and more, from the training to the evaluation, by the command line itself."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import MakeOnce
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.bundle.bundle import Bundle
from torchstone_runtime.class_names import LONGEST_NAME
from torchstone_runtime.metrics.confusion import MOST_DENSE, ConfusionCells

pytestmark = pytest.mark.slow


def write_data(path: Path, names: list[str], images: int) -> str:
    """Write an npz file of small pictures, some a class; return how the command line names it."""
    labels = np.arange(len(names) * images) % len(names)
    noise = np.random.default_rng(0).integers(0, 20, (len(labels), 8, 8))
    pixels = (labels[:, None, None] * 97 % 236 + noise).astype(np.uint8)
    np.savez(path, images=pixels, labels=labels, class_names=np.array(names))
    return f"npz:{path}"


def make(folder: Path, classes: int, images: int) -> None:
    """Train one epoch and export, as `data.npz`, `run` and `bundle`."""
    data = write_data(folder / "data.npz", [f"species {index}" for index in range(classes)], images)
    for arguments in (
        ("train", "cnn3", "--dataset", data, "--epochs", "1", "--out", folder / "run"),
        ("export", folder / "run", "--dataset", data, "--out", folder / "bundle", "--no-torchscript"),
    ):
        result = run_torchstone(*arguments)
        assert result.returncode == 0, result.stderr


@pytest.fixture(
    scope="module",
    params=[pytest.param((1000, 5), id="1000"), pytest.param((5000, 3), id="5000", marks=pytest.mark.study)],
)
def made(request: pytest.FixtureRequest, make_once: MakeOnce) -> tuple[Path, int]:
    """A folder with data, run and bundle, and the number of classes."""
    classes, images = request.param
    return make_once(f"classes-{classes}", lambda folder: make(folder, classes, images)), classes


def test_the_bundle_verifies(made: tuple[Path, int]) -> None:
    """Its manifest is read back, its files are the stated ones, and the golden samples give the stated outputs."""
    result = run_torchstone("verify", made[0] / "bundle")
    assert result.returncode == 0, result.stderr


def test_the_manifest_holds_the_worst_classes_and_the_certificate_all(made: tuple[Path, int]) -> None:
    """A manifest is read at every start: some tens of bytes a class."""
    folder, classes = made
    bundle = Bundle.open(folder / "bundle")
    assert (folder / "bundle" / "manifest.json").stat().st_size < 20_000 + 25 * classes
    headline = bundle.manifest.metrics["test"]
    assert (len(headline["lowest_f1"]), len(headline["most_confused"])) == (10, 10)
    certificate = json.loads(bundle.read_file("certificate"))
    metrics = certificate["variants"]["fp32"]["splits"]["test"]["metrics"]
    assert len(metrics["per_class"]) == classes
    cells = ConfusionCells.from_json(metrics, classes)
    assert (int(cells.count.sum()), int(cells.hits.sum())) == (headline["samples"], headline["correct"])
    assert headline["accuracy"] == metrics["accuracy"]
    assert len(bundle.read_file("certificate")) < 1000 * classes


def test_descriptions_stay_short(made: tuple[Path, int]) -> None:
    """The model card and what `inspect` prints name some of the classes."""
    folder, classes = made
    card = (folder / "bundle" / "README.md").read_text()
    assert len(card) < 10_000
    assert f"with {classes:,} classes: species 0" in card
    assert f"The 20 of {classes:,} classes with the lowest F1" in card
    shown = run_torchstone("inspect", folder / "bundle").stdout
    assert len(shown) < 5_000
    assert f"and {classes - 40:,} more" in shown


def test_the_run_is_small(made: tuple[Path, int]) -> None:
    """Its page and its description."""
    folder, classes = made
    assert (folder / "run" / "report.html").stat().st_size < 2_000_000
    assert (folder / "run" / "run.json").stat().st_size < 10_000 + 25 * classes


def test_evaluate_writes_small_reports(made: tuple[Path, int], tmp_path: Path) -> None:
    """A screen or two on the terminal, and every file."""
    folder, classes = made
    files = ("--json", "e.json", "--report", "e.html", "--csv", "e.csv", "--predictions", "p.csv")
    data = f"npz:{folder / 'data.npz'}"
    result = run_torchstone("evaluate", folder / "bundle", "--data", data, "--split", "all", *files, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) < 80
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["e.html"] < 2_000_000
    assert sizes["e.json"] < 1000 * classes
    document = json.loads((tmp_path / "e.json").read_text())
    assert len(document["label_errors"]["listed"]) == 200 < document["label_errors"]["count"]
    samples = document["metrics"]["samples"]
    assert sizes["p.csv"] < 300 * samples


def test_compare_and_robustness_stay_small(made: tuple[Path, int], tmp_path: Path) -> None:
    """Their JSON grows with the classes and the samples, and never with pairs of classes."""
    folder, classes = made
    data = ("--data", f"npz:{folder / 'data.npz'}", "--split", "test")
    bundle = folder / "bundle"
    compared = run_torchstone("compare", bundle, bundle, *data, "--no-speed", "--json", tmp_path / "c.json")
    assert compared.returncode == 0, compared.stderr
    assert (tmp_path / "c.json").stat().st_size < 1000 * classes
    given = ("--corruption", "contrast", "--severity", "1", "--json", tmp_path / "r.json")
    robust = run_torchstone("robustness", bundle, *data, *given)
    assert robust.returncode == 0, robust.stderr
    assert (tmp_path / "r.json").stat().st_size < 20_000
    assert max(len(found.stdout.splitlines()) for found in (compared, robust)) < 60


def test_a_manifest_of_few_classes_is_what_it_was(digits_bundle: Path) -> None:
    """Up to a hundred classes it has every figure and the whole matrix, a line a row."""
    assert len(Bundle.open(digits_bundle).manifest.class_names) <= MOST_DENSE
    text = (digits_bundle / "manifest.json").read_text()
    metrics = json.loads(text)["metrics"]["test"]
    matrix = metrics["confusion_matrix"]
    assert np.array(matrix).shape == (10, 10)
    assert len(metrics["per_class"]) == 10
    assert all(f"{row}" in text for row in matrix)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a", "b" * (LONGEST_NAME + 1)], "class name of 1,001 characters: 'bbb"),
        ([f"{index} " + "x" * 990 for index in range(9000)], "take 8,9"),
    ],
)
def test_names_that_no_manifest_could_hold_are_refused_before_training(
    tmp_path: Path, names: list[str], told: str
) -> None:
    """One message, and no run directory."""
    data = write_data(tmp_path / "data.npz", names, 5)
    result = run_torchstone("train", "cnn3", "--dataset", data, "--epochs", "1", "--out", tmp_path / "run")
    assert_refused(result, told)
    assert not (tmp_path / "run").exists()


def test_a_manifest_that_is_too_large_is_said_to_be(digits_bundle: Path, tmp_path: Path) -> None:
    """And not that it were no JSON."""
    shutil.copytree(digits_bundle, tmp_path / "bundle")
    with (tmp_path / "bundle" / "manifest.json").open("a") as file:
        file.write(" " * (16 << 20))
    assert_refused(run_torchstone("inspect", tmp_path / "bundle"), "more than 16 MiB")
