"""Classes that are too small to be split, and `--min-class-size`, which leaves them out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.left_out import without_classes
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.folds import Fold
from torchstone_train.data.selection import Selection
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.recipes.catalog import CNN3

SPEC = InputSpec(color="L", height=8, width=8, mean=(0.5,), std=(0.5,))


def write_classes(root: Path, **sizes: int) -> Path:
    """Write gray pictures of 8 x 8 in class folders, as many of each as said, brighter from class to class."""
    generator = np.random.default_rng(0)
    for place, (name, count) in enumerate(sizes.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            level = 40 + 60 * place + generator.integers(-15, 15)
            Image.fromarray(np.full((8, 8), level, dtype=np.uint8)).save(root / name / f"{index}.png")
    return root


def load(root: Path, **selection: Any) -> TrainingData:  # noqa: ANN401 - what a Selection takes
    """Load a folder with a selection of its images."""
    return load_training_data(DatasetRef("folder", root), root, CNN3, 0, selection=Selection(**selection))


def test_classes_that_cannot_be_split_are_named_together(tmp_path: Path) -> None:
    """One message with their sizes, and what to type, instead of one class after the other."""
    write_classes(tmp_path, cat=6, dog=6, owl=1, yak=2)
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert "2 classes have too few images" in caught.value.lines[0]
    assert "owl (1), yak (2)" in caught.value.lines[0]
    assert "--min-class-size 3" in caught.value.lines[1]


def test_parts_of_its_own_need_fewer_images(tmp_path: Path) -> None:
    """Where a folder has a test part, two training images are enough: one to train on and one to validate."""
    write_classes(tmp_path / "train", cat=6, owl=2)
    write_classes(tmp_path / "test", cat=2, owl=1)
    assert len(load(tmp_path).train.class_names) == 2


@pytest.mark.parametrize(("folds", "least"), [(2, 4), (3, 3)])
def test_folds_are_refused_before_the_first_where_a_later_one_would_fail(
    tmp_path: Path, folds: int, least: int
) -> None:
    """Of three images one of two folds holds two: the one that is left would have to train and to validate."""
    for name, owls in (("few", least - 1), ("enough", least)):
        write_classes(tmp_path / name / "train", cat=9, dog=9, owl=owls)
        write_classes(tmp_path / name / "test", cat=2, dog=2, owl=1)
    for number in range(1, folds + 1):
        with pytest.raises(DataError, match=f"--min-class-size {least}"):
            load(tmp_path / "few", fold=Fold(number, folds))
        assert load(tmp_path / "enough", fold=Fold(number, folds))


def test_small_classes_are_left_out(tmp_path: Path) -> None:
    """Of every part; a folder without images is a class of 0."""
    write_classes(tmp_path / "train", cat=6, dog=6, owl=1, yak=0)
    write_classes(tmp_path / "test", cat=2, dog=2, owl=2, emu=1)
    data = load(tmp_path, min_class_size=3)
    assert data.train.class_names == data.test.class_names == ("cat", "dog")
    assert data.selection.left_out == {"emu": 0, "owl": 1, "yak": 0}
    assert not any("owl" in name for name in data.test.ids)


def test_small_classes_of_an_npz_file_are_left_out(tmp_path: Path) -> None:
    """The labels behind them move up."""
    labels = np.array([0] * 6 + [1] * 2 + [2] * 6)
    np.savez(tmp_path / "x.npz", images=np.zeros((14, 8, 8), np.uint8), labels=labels, class_names=["a", "b", "c"])
    ref = DatasetRef("npz", tmp_path / "x.npz")
    data = load_training_data(ref, tmp_path, CNN3, 0, selection=Selection(min_class_size=3))
    assert data.train.class_names == ("a", "c")
    assert sorted(np.unique(data.train.labels)) == [0, 1]


def test_a_size_that_leaves_one_class_is_refused(tmp_path: Path) -> None:
    """A classifier needs two."""
    write_classes(tmp_path, cat=6, dog=4)
    with pytest.raises(DataError, match="only one class with 5 images or more"):
        load(tmp_path, min_class_size=5)


def test_leaving_out_what_is_not_there_changes_nothing(tmp_path: Path) -> None:
    """The very split comes back."""
    split = Dataset(DatasetRef("folder", write_classes(tmp_path, cat=3, dog=3)), tmp_path, SPEC).whole()
    assert without_classes(split, ["owl"]) is split


@pytest.mark.slow
def test_a_run_and_its_bundle_know_what_was_left_out(tmp_path: Path) -> None:
    """The run records it, export finds the same images, and evaluate and data skip the others."""
    folder = write_classes(tmp_path / "photos", cat=12, dog=12, owl=2)
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    arguments = ("--data", f"folder:{folder}", "--epochs", "1", "--min-class-size", "3", "--out", run)
    trained = run_in_process("train", "cnn3", *arguments)
    assert trained.returncode == 0, trained.stderr
    assert "left out 1 class with fewer than 3 images: owl (2)" in trained.stderr
    recorded = json.loads((run / "run.json").read_text())["dataset"]
    assert recorded["left_out"] == {"owl": 2}
    resumed = run_in_process("train", "cnn3", *arguments[:2], "--epochs", "2", "--out", run, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    exported = run_in_process("export", run, "--out", bundle)
    assert exported.returncode == 0, exported.stderr
    measured = run_in_process("evaluate", bundle, "--data", f"folder:{folder}", "--split", "all")
    assert measured.returncode == 0, measured.stderr
    assert "left out by the training (--min-class-size): 2 images of owl (2)" in measured.stderr
    checked = run_in_process("data", f"folder:{folder}", "--bundle", bundle, "--json")
    assert checked.returncode == 0, checked.stderr
    verified = run_in_process("verify", bundle, "--data", f"folder:{folder}")
    assert verified.returncode == 0, verified.stderr
