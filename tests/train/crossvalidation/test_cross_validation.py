"""`train --folds`: a network for each fold, and what they say of the images that they have not seen."""

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torchstone
from helpers.in_process import run_in_process
from helpers.photographs import photograph_tree
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.evaluation.predictions_file import read_predictions
from torchstone_train.data.folds import Fold, divide_fold

if TYPE_CHECKING:
    import subprocess


@pytest.fixture(scope="module")
def printed(
    tiny_npz: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """Three folds of two epochs on `tiny_npz`, and what the command printed."""
    out = tmp_path_factory.mktemp("folds") / "cv"
    result = run_in_process(*arguments(tiny_npz, out))
    assert result.returncode == 0, result.stderr
    return out, result


@pytest.fixture(scope="module")
def cross_validation(printed: tuple[Path, "subprocess.CompletedProcess[str]"]) -> Path:
    """The directory of `printed`. Don't change it: copy it."""
    return printed[0]


def arguments(data: Path, out: Path, *more: str) -> tuple[str | Path, ...]:
    """Return the command line."""
    return ("train", "mlp", "--data", f"npz:{data}", "--folds", "3", "--epochs", "2", "--out", out, *more)


def read_info(out: Path) -> dict[str, Any]:
    """Return the content of crossvalidation.json."""
    found: dict[str, Any] = json.loads((out / "crossvalidation.json").read_text())
    return found


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(5, 20), min_size=2, max_size=4), st.integers(2, 5), st.integers(0, 99))
def test_each_image_is_held_out_once(sizes: list[int], count: int, seed: int) -> None:
    """And each fold has its share of every class, to one image."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    held_out = [divide_fold(labels, Fold(number, count), seed)[1] for number in range(1, count + 1)]
    assert sorted(np.concatenate(held_out).tolist()) == list(range(len(labels)))
    shares = np.array([np.bincount(labels[part], minlength=len(sizes)) for part in held_out])
    assert (np.ptp(shares, axis=0) <= 1).all()


def test_more_folds_than_images_of_a_class_are_refused() -> None:
    """The message says how many would do."""
    with pytest.raises(UsageError, match="largest class has 3"):
        divide_fold(np.array([0, 0, 0, 1, 1]), Fold(1, 4), 0)


def test_predictions_are_those_of_networks_that_had_not_seen_the_image(cross_validation: Path, tiny_npz: Path) -> None:
    """The runs' test, train and validation parts share no image, and the test parts together are all images."""
    pool = Dataset(DatasetRef("npz", tiny_npz), tiny_npz).training()
    with np.load(cross_validation / "predictions.npz") as found:
        assert found["ids"].tolist() == list(pool.ids)
        assert (found["labels"] == pool.labels).all()
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
        fold = found["fold"]
    for number in (1, 2, 3):
        recorded = json.loads((cross_validation / f"fold-{number}" / "run.json").read_text())["dataset"]
        assert recorded["test"]["fingerprint"] == pool.select(np.flatnonzero(fold == number), "x").fingerprint
        assert recorded["train"]["samples"] + recorded["validation"]["samples"] == int((fold != number).sum())
        assert recorded["fold"] == {"number": number, "of": 3}


def test_the_figures_follow_from_the_predictions(cross_validation: Path) -> None:
    """The pooled accuracy is that of the CSV file, the mean that of the folds, the deviation the sample's."""
    info = read_info(cross_validation)
    seen = read_predictions(cross_validation / "predictions.csv")
    assert info["all_images"]["accuracy"] == pytest.approx(seen.metrics.accuracy)
    accuracies = [fold["accuracy"] for fold in info["folds"]]
    assert info["mean"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert info["standard_deviation"]["accuracy"] == pytest.approx(np.std(accuracies, ddof=1))


def test_what_the_folds_have_in_common_is_said_once(printed: tuple[Path, "subprocess.CompletedProcess[str]"]) -> None:
    """Each fold has its own rows, and the end says what to do with the predictions."""
    out, result = printed
    assert result.stderr.count("\ndevice ") == 1
    assert result.stderr.count("\nreport ") == 3
    assert "mean      accuracy" in result.stdout
    assert re.search(
        rf"^next: torchstone data npz:\S+ --predictions {out}/predictions.csv$", result.stdout, re.MULTILINE
    )


def test_a_fold_is_a_run_that_can_be_exported(cross_validation: Path, tmp_path: Path) -> None:
    """It is certified on its held-out images."""
    fold = read_info(cross_validation)["folds"][0]
    result = run_in_process("export", cross_validation / "fold-1", "--out", tmp_path / "bundle")
    assert result.returncode == 0, result.stderr
    assert re.search(rf"^next: torchstone evaluate {tmp_path}/bundle --data npz:", result.stdout, re.MULTILINE)
    certified = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["provenance"]["dataset"]
    assert certified["test"]["samples"] == fold["samples"]
    assert certified["fold"] == {"number": 1, "of": 3}


def test_a_cross_validation_goes_on_where_it_was_left(cross_validation: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """Complete folds are not trained again; the rest gives the same predictions to the bit."""
    out = shutil.copytree(cross_validation, tmp_path / "cv")
    shutil.rmtree(out / "fold-3")
    (out / "predictions.npz").unlink()
    result = run_in_process(*arguments(tiny_npz, out, "--resume"))
    assert result.returncode == 0, result.stderr
    assert "fold 1 of 3: complete already" in result.stderr
    assert "fold 3 of 3: complete already" not in result.stderr
    with np.load(out / "predictions.npz") as again, np.load(cross_validation / "predictions.npz") as before:
        assert (again["probabilities"] == before["probabilities"]).all()


def test_folds_that_are_trained_later_read_their_pictures_alike(tmp_path: Path) -> None:
    """What was said of the input need not be said again; something else is refused."""
    data = photograph_tree(tmp_path / "photos", {"cat": 8, "dog": 8})
    out = tmp_path / "cv"
    command = ("train", "mlp", "--data", f"folder:{data}", "--folds", "2", "--epochs", "1", "--out", out)
    said = ("--fit", "crop", "--resize", "20", "--image-size", "16", "--color", "L", "--mean", "0.4")
    assert run_in_process(*command, *said).returncode == 0
    before = (out / "predictions.csv").read_bytes()
    shutil.rmtree(out / "fold-2")
    refused = run_in_process(*command, "--resume", "--fit", "pad", "--mean", "0.4")
    assert "made with other settings: fit." in refused.stderr
    result = run_in_process(*command, "--resume", "--mean", "0.4")
    assert result.returncode == 0, result.stderr
    assert (out / "predictions.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "holds a cross-validation already"),
        (("--resume", "--seed", "1"), "made with other settings: seed"),
        (("--resume", "--overwrite"), "contradict each other"),
    ],
)
def test_what_is_there_is_not_mistaken(
    cross_validation: Path, tiny_npz: Path, more: tuple[str, ...], said: str
) -> None:
    """One message, exit code 2, and nothing is touched."""
    before = (cross_validation / "crossvalidation.json").read_bytes()
    result = run_in_process(*arguments(tiny_npz, cross_validation, *more))
    assert result.returncode == 2
    assert said in result.stderr
    assert (cross_validation / "crossvalidation.json").read_bytes() == before


def test_a_directory_with_other_files_is_left_alone(tiny_npz: Path, tmp_path: Path) -> None:
    """Even with --overwrite."""
    (tmp_path / "mine.txt").write_text("mine")
    result = run_in_process(*arguments(tiny_npz, tmp_path, "--overwrite"))
    assert result.returncode == 2
    assert "holds other files (mine.txt)" in result.stderr


def test_too_many_folds_remove_no_earlier_one(cross_validation: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """With --overwrite, what a training refuses is found before anything is removed."""
    out = shutil.copytree(cross_validation, tmp_path / "cv")
    result = run_in_process(*arguments(tiny_npz, out, "--folds", "9999", "--overwrite"))
    assert result.returncode in (2, 3)
    assert files_below(out) == files_below(cross_validation)


def test_a_foreign_file_in_a_fold_keeps_all_folds(cross_validation: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """Such as a bundle that was exported to it: nothing is removed by halves."""
    out = shutil.copytree(cross_validation, tmp_path / "cv")
    (out / "fold-2" / "mine.txt").write_text("mine")
    result = run_in_process(*arguments(tiny_npz, out, "--overwrite"))
    assert "holds other files (mine.txt)" in result.stderr
    assert files_below(out) == sorted([*files_below(cross_validation), "fold-2/mine.txt"])


def files_below(out: Path) -> list[str]:
    """Return the names of all files of a cross-validation, with their folders."""
    return sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())


def test_the_library_gives_the_cross_validation(tiny_npz: Path, tmp_path: Path) -> None:
    """`torchstone.train(folds=2)`: mean, deviation, and the runs."""
    found = torchstone.train("mlp", data=f"npz:{tiny_npz}", folds=2, out=tmp_path / "cv", epochs=1, device="cpu")
    assert found.accuracy == pytest.approx(np.mean([fold["accuracy"] for fold in found.info["folds"]]))
    assert [run.info["dataset"]["fold"]["number"] for run in found.runs] == [1, 2]
    assert repr(found).endswith(f"2 folds, accuracy {found.accuracy:.4f} ± {found.standard_deviation['accuracy']:.4f})")


def test_what_is_no_cross_validation_is_refused(tmp_path: Path) -> None:
    """With a DataError that names the place."""
    with pytest.raises(DataError, match="no cross-validation at"):
        torchstone.CrossValidation.open(tmp_path)
