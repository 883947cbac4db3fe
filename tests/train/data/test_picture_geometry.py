"""The pictures of a folder at the size of the input: stretched, cropped or padded, as a person asks."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.describe import describe_data
from torchstone_train.data.picture_geometry import PictureGeometry
from torchstone_train.data.training_data import TrainingData, load_training_data
from torchstone_train.recipes.catalog import CNN3


def load(root: Path, **options: Any) -> TrainingData:  # noqa: ANN401
    """Split a folder as a training would."""
    return load_training_data(DatasetRef("folder", root), root.parent, CNN3, 0, **options)


def run_ok(*arguments: str) -> None:
    """Run a command that succeeds."""
    done = run_in_process(*arguments)
    assert done.returncode == 0, done.stderr


def write_wide_tree(root: Path) -> None:
    """Write two classes of eight gray pictures, 30 wide and 20 high."""
    generator = np.random.default_rng(0)
    for name in "ab":
        (root / name).mkdir(parents=True)
        for index in range(8):
            pixels = generator.integers(0, 256, (20, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")


def test_a_folder_is_cropped_as_asked_and_the_run_records_it(tmp_path: Path) -> None:
    """The pixels that are learnt from are those of the recorded specification."""
    write_wide_tree(tmp_path / "photos")
    data = load(tmp_path / "photos", image_size=(16, 16), geometry=PictureGeometry(fit="crop", resize=18))
    recorded = InputSpec.from_json(data.spec.to_json())
    assert (recorded.fit, recorded.resize) == ("crop", 18)
    store = data.train.store
    assert isinstance(store, FileStore)
    assert store.spec == recorded


def test_crop_fills_the_input_where_no_resize_is_stated(tmp_path: Path) -> None:
    """The shorter side becomes the larger side of the input: nothing is black."""
    write_wide_tree(tmp_path / "photos")
    data = load(tmp_path / "photos", image_size=(12, 16), geometry=PictureGeometry(fit="crop"))
    assert data.spec.resize == 16


def test_pictures_of_another_shape_are_told_of_in_one_line(tmp_path: Path) -> None:
    """The line names the fit that is used and the others; none where a picture's shape is the input's."""
    write_wide_tree(tmp_path / "photos")
    lines = list(describe_data(load(tmp_path / "photos", image_size=(16, 16))))
    (line,) = [line for line in lines if line.startswith("fit ")]
    assert "stretch" in line
    assert "16 pictures" in line
    assert "--fit crop" in line
    assert "--fit pad" in line
    assert not [one for one in describe_data(load(tmp_path / "photos")) if one.startswith("fit ")]


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (PictureGeometry(resize=18), "--resize is for --fit crop"),
        (PictureGeometry(fit="crop", fill=3), "--fill is for --fit pad"),
        (PictureGeometry(resize_filter="lanczos", antialias=False), "lanczos"),
        (PictureGeometry(decode="reduced", antialias=False), "reduced"),
        (PictureGeometry(fit="tile"), "fit must be one of"),  # type: ignore[arg-type]  # what a person may type
    ],
)
def test_a_geometry_that_there_is_not_is_refused(geometry: PictureGeometry, message: str, tmp_path: Path) -> None:
    """The message names the option."""
    write_wide_tree(tmp_path / "photos")
    with pytest.raises(UsageError, match=message):
        load(tmp_path / "photos", geometry=geometry)


def test_another_fit_than_the_repeated_run_drops_what_belongs_to_the_first(tmp_path: Path) -> None:
    """`--from` a cropped run with `--fit pad` is no contradiction."""
    tree, first, second = tmp_path / "photos", tmp_path / "first", tmp_path / "second"
    write_wide_tree(tree)
    size = ("--data", f"folder:{tree}", "--image-size", "8", "--epochs", "1")
    run_ok("train", "cnn3", *size, "--fit", "crop", "--resize", "10", "-o", str(first))
    run_ok("train", "--from", str(first), "--fit", "pad", "--fill", "9", "-o", str(second))
    recorded = json.loads((second / "run.json").read_text())["input"]
    assert (recorded["fit"], recorded["fill"], "resize" in recorded) == ("pad", 9, False)
    run_ok("train", "--from", str(first), "--decode", "reduced", "-o", str(tmp_path / "third"))
    third = json.loads((tmp_path / "third" / "run.json").read_text())["input"]
    assert (third["resize"], third["decode"]) == (10, "reduced")
