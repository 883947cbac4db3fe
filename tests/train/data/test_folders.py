from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.support import assert_refused, run_torchstone, write_image_tree
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import DataError, ImageError
from torchstone_train.data.describe import describe_data, shortened
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.recipes.catalog import CNN3

CLASSES = {"cat": 10, "dog": 15}


def load(root: Path, **options: Any) -> TrainingData:  # noqa: ANN401
    """Split a folder as a training would."""
    return load_training_data(DatasetRef("folder", root), root.parent, CNN3, 0, **options)


def write_picture(file: Path, mode: str, size: tuple[int, int]) -> None:
    """Write one picture of width x height."""
    Image.new(mode, size).save(file)


@pytest.mark.parametrize(("mode", "shape"), [("L", (1, 12, 12)), ("RGB", (3, 12, 12))])
def test_pictures_of_one_size_keep_it(mode: str, shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Small pictures that are all alike are taken as they are, gray or in colour."""
    assert load(write_image_tree(tmp_path / "p", CLASSES, mode=mode)).spec.shape == shape


def test_pictures_that_are_not_square_keep_their_shape(tmp_path: Path) -> None:
    """Height and width aren't mixed up."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(5):
            write_picture(tmp_path / name / f"{index}.png", "L", (20, 10))
    assert load(tmp_path).spec.shape == (1, 10, 20)


def test_pictures_of_different_sizes_become_64_x_64(tmp_path: Path) -> None:
    """Without a common size there is a default."""
    root = write_image_tree(tmp_path / "p", CLASSES)
    write_picture(root / "cat" / "other.png", "L", (30, 20))
    assert load(root).spec.shape == (1, 64, 64)


def test_large_pictures_become_64_x_64(tmp_path: Path) -> None:
    """Photographs are not trained on at their own size unless asked for."""
    assert load(write_image_tree(tmp_path / "p", {"cat": 3, "dog": 3}, side=129)).spec.shape == (1, 64, 64)


def test_one_picture_in_colour_makes_all_colour(tmp_path: Path) -> None:
    """Gray is chosen only if nothing is lost by it."""
    root = write_image_tree(tmp_path / "p", CLASSES)
    write_picture(root / "dog" / "colour.png", "RGB", (12, 12))
    assert load(root).spec.color == "RGB"


def test_size_and_colour_can_be_chosen(tmp_path: Path) -> None:
    """What a person asks for counts more than what the pictures are."""
    data = load(write_image_tree(tmp_path / "p", CLASSES), image_size=(16, 24), color="RGB")
    assert data.spec.shape == data.train.image_shape == (3, 16, 24)


def test_one_tree_is_split_class_by_class(tmp_path: Path) -> None:
    """A fifth of each class is the test split, a fifth of the rest validates; no picture is in two splits."""
    data = load(write_image_tree(tmp_path / "p", CLASSES))
    splits = (data.train, data.validation, data.test)
    assert [[split.labels.tolist().count(label) for label in (0, 1)] for split in splits] == [[6, 10], [2, 2], [2, 3]]
    ids = [sample for split in splits for sample in split.ids]
    assert len(set(ids)) == len(ids) == 25


@pytest.mark.parametrize("name", ["validation", "val", "valid"])
def test_folders_of_one_part_each_are_used_as_they_are(name: str, tmp_path: Path) -> None:
    """train/, test/ and validation/ are the splits; nothing is moved between them."""
    for seed, (part, count) in enumerate({"train": 6, name: 4, "test": 3}.items()):
        write_image_tree(tmp_path / part, {"cat": count, "dog": count + 1}, seed=seed)
    data = load(tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [13, 9, 7]


def test_validation_is_held_out_of_train_where_there_is_no_folder_for_it(tmp_path: Path) -> None:
    """train/ and test/ alone: a fifth of train/ validates, test/ is left whole."""
    for part in ("train", "test"):
        write_image_tree(tmp_path / part, CLASSES)
    data = load(tmp_path)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [20, 5, 25]


def test_train_without_test_is_refused(tmp_path: Path) -> None:
    """train/ and val/ without test/ would be taken for two classes; it is asked for instead."""
    for part in ("train", "val"):
        write_image_tree(tmp_path / part, CLASSES)
    with pytest.raises(DataError, match="no test/"):
        load(tmp_path)


def test_text_named_png_is_refused_by_name(tmp_path: Path) -> None:
    """A file that is not a picture stops the training before it begins; the message names it."""
    root = write_image_tree(tmp_path / "p", CLASSES)
    (root / "dog" / "letter.png").write_text("Dear Sir or Madam")
    result = run_torchstone("train", "cnn3", "--dataset", f"folder:{root}", "--out", tmp_path / "run")
    assert_refused(result, "letter.png", "is not an image in a supported format")
    assert not (tmp_path / "run").exists()


def test_picture_cut_off_after_its_header_leaves_no_run(tmp_path: Path) -> None:
    """What only decoding finds out is told by name as well, and no half run stays."""
    root = write_image_tree(tmp_path / "p", CLASSES, side=40)
    damaged = root / "cat" / "000.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    result = run_torchstone("train", "cnn3", "--dataset", f"folder:{root}", "--out", tmp_path / "run")
    assert_refused(result, "000.png")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("classes", "message"),
    [({"cat": 5}, "only one class"), ({}, "no class folders"), ({"cat": 2, "dog": 2}, "too few images")],
)
def test_folder_that_cannot_be_learnt_from_is_refused(classes: dict[str, int], message: str, tmp_path: Path) -> None:
    """One class, none, or too few pictures to be split."""
    root = write_image_tree(tmp_path / "p", classes)
    root.mkdir(exist_ok=True)
    with pytest.raises(DataError, match=message):
        load(root)


def test_huge_picture_is_an_image_error(tmp_path: Path) -> None:
    """A decompression bomb is refused from its header."""
    root = write_image_tree(tmp_path / "p", CLASSES)
    write_picture(root / "cat" / "bomb.png", "1", (20_000, 20_000))
    with pytest.raises(ImageError, match=r"bomb\.png"):
        load(root)


def test_the_classes_and_parts_are_named_before_a_training(tmp_path: Path) -> None:
    """What is learnt is seen before the time is spent, and which folder is which part."""
    for part in ("Training", "Testing", "valid"):
        write_image_tree(tmp_path / "p" / part, CLASSES)
    write_image_tree(tmp_path / "p" / "raw", {"x": 1})
    lines = list(describe_data(load(tmp_path / "p")))
    assert lines[2:5] == [
        "parts    train is Training/, test is Testing/, validation is valid/",
        "not used raw/",
        "classes  cat, dog",
    ]


def test_unequal_classes_and_leaked_images_are_told_before_a_training(tmp_path: Path) -> None:
    """A line on the balance, and a warning that names an image of the test part that is in the training part too."""
    root = tmp_path / "p"
    write_image_tree(root / "train", {"cat": 12, "dog": 6})
    write_image_tree(root / "test", {"cat": 2, "dog": 2}, seed=1)
    (root / "test" / "cat" / "leak.png").write_bytes((root / "train" / "cat" / "000.png").read_bytes())
    data = load(root)
    data.to_json()  # reads the images for their fingerprints
    lines = list(describe_data(data))
    assert any(line.startswith("balance  ") and "2.0 : 1" in line for line in lines)
    (warning,) = [line for line in lines if line.startswith("Warning")]
    assert "1 of 5 test images are in the" in warning
    assert "cat/leak.png" in warning
    assert f"torchstone data folder:{root}" in warning


def test_training_prints_the_classes_before_its_first_epoch(tmp_path: Path) -> None:
    """On stderr."""
    root = write_image_tree(tmp_path / "p", CLASSES)
    result = run_torchstone("train", "cnn3", "--dataset", f"folder:{root}", "--epochs", "1", "--out", tmp_path / "run")
    assert "classes  cat, dog\n" in result.stderr.partition("epoch")[0]


def test_many_classes_are_shortened_to_one_line() -> None:
    """The first and the last ones are shown, and how many are not."""
    names = [f"class {index}" for index in range(1000)]
    line = shortened(names)
    assert len(line) < 140
    assert line.startswith("class 0, class 1, ")
    assert line.endswith(" more), class 999")
    hidden = int(line.split("(")[1].split(" ")[0])
    assert line.count("class") + hidden == 1000


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_is_measured_after_the_exif_rotation(orientation: int, tmp_path: Path) -> None:
    """A telephone's portraits are stored lying: a model made for them is upright, and no picture is squeezed."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(5):
            exif = Image.Exif()
            exif[0x0112] = orientation
            Image.new("L", (20, 10)).save(tmp_path / name / f"{index}.jpg", exif=exif)
    assert load(tmp_path).spec.shape == ((1, 20, 10) if orientation >= 5 else (1, 10, 20))


def test_files_that_are_no_pictures_are_named_once_before_a_training(tmp_path: Path) -> None:
    """Their number and the first few, though the tree is divided into three splits."""
    root = write_image_tree(tmp_path / "p", CLASSES)
    for number in range(5):
        (root / "cat" / f"note{number}.txt").write_text("fluffy")
    lines = [line for line in describe_data(load(root)) if "left out" in line]
    expected = "left out: 5 files are not pictures in a supported format"
    assert lines == [f"{expected}, in {root}: note0.txt, note1.txt, note2.txt, …"]


def test_bits_are_recorded_and_the_warning_goes(tmp_path: Path) -> None:
    """Pictures of 12 bits in 16: without the option a training says so, with it the model's input has it."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(5):
            Image.new("I;16", (12, 12), 4000).save(tmp_path / name / f"{index}.png")
    assert any("--bits 12" in line for line in describe_data(load(tmp_path)))
    stated = load(tmp_path, bits=12)
    assert not any("--bits" in line for line in describe_data(stated, bits_stated=True))
    assert stated.spec.to_json()["bits"] == 12
    assert stated.train.store.read(np.arange(1)).max() == 249


def test_a_folder_from_an_archive_of_windows_is_learnt_from(tmp_path: Path) -> None:
    """The folders stand in the names of its files; size and parts are found as in real folders."""
    for part in ("train", "test"):
        write_image_tree(tmp_path / "tree" / part, CLASSES)
    (tmp_path / "flat").mkdir()
    for path in (tmp_path / "tree").rglob("*.png"):
        path.rename(tmp_path / "flat" / str(path.relative_to(tmp_path / "tree")).replace("/", "\\"))
    data = load(tmp_path / "flat")
    assert (data.spec.shape, len(data.train), len(data.test)) == ((1, 12, 12), 20, 25)
    assert "parts    train is train/, test is test/" in list(describe_data(data))
