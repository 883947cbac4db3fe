"""How pictures become the size of a model's input must be said, where that matters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.support import write_image_tree
from helpers.support_foreign import spec_of, write_data
from torchstone_export.foreign.given_data import load_given_data
from torchstone_export.foreign.read_spec import read_spec
from torchstone_runtime.data.catalog import DatasetRef
from torchstone_runtime.errors import UsageError

GOOD: dict[str, Any] = {"input": "3x64x48", "mean": "0,0,0", "std": "1,1,1"}


def photos(folder: Path, side: int = 8) -> DatasetRef:
    """A folder of square pictures in three classes."""
    write_image_tree(folder, {"a": 12, "b": 12, "c": 12}, side=side, mode="RGB")
    return DatasetRef("folder", folder)


def test_pictures_of_another_size_are_asked_about(tmp_path: Path) -> None:
    """The message lists the usual choices as they are typed."""
    with pytest.raises(UsageError) as refused:
        load_given_data(photos(tmp_path, side=20), tmp_path, spec_of())

    text = str(refused.value)
    assert "takes 8 x 8 pixels" in text
    assert "20 x 20" in text
    for option in ("--fit crop --resize 9", "--fit crop --resize 8", "--fit stretch", "--fit pad", "timm:NAME"):
        assert option in text


@pytest.mark.parametrize("fit", ["stretch", "crop", "pad"])
def test_a_word_is_enough(fit: str, tmp_path: Path) -> None:
    """Each of the ways."""
    data = load_given_data(photos(tmp_path, side=20), tmp_path, spec_of(fit=fit))

    assert data.test.image_shape == (3, 8, 8)


def test_pictures_of_just_that_size_and_arrays_need_no_word(tmp_path: Path) -> None:
    """Nothing is resized."""
    load_given_data(photos(tmp_path / "photos"), tmp_path, spec_of())
    load_given_data(DatasetRef("npz", write_data(tmp_path / "data.npz")), tmp_path, spec_of())


def test_a_picture_that_is_turned_counts_as_it_stands(tmp_path: Path) -> None:
    """By its EXIF orientation, width and height change places."""
    turned = Image.Exif()
    turned[0x0112] = 6
    for name in "ab":
        (tmp_path / name).mkdir()
        for index in range(8):
            pixels = np.full((48, 64, 3), 9 * index, dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.jpg", exif=turned)
    ref = DatasetRef("folder", tmp_path)

    load_given_data(ref, tmp_path, read_spec(None, GOOD))
    with pytest.raises(UsageError, match="takes 48 x 64 pixels"):
        load_given_data(ref, tmp_path, read_spec(None, GOOD | {"input": "3x48x64"}))


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"resize": 70}, "fit is not stated"),
        ({"fit": "pad", "resize": 70}, "Add --fit crop, or leave --resize out"),
        ({"fit": "crop", "fill": 9}, "Add --fit pad, or leave --fill out"),
        ({"fit": "crop", "resize": 50}, "The crop of 64 x 48 is larger than the picture"),
        ({"fit": "zoom"}, "expected one of: stretch, crop, pad"),
        ({"fit": "crop", "resize": "big"}, "'resize' is 'big'; expected a whole number"),
        ({"fit": "pad", "fill": 256}, "'fill' is 256; expected a whole number from 0 to 255"),
        ({"fit": "stretch", "antialias": "no"}, "expected true or false"),
        ({"fit": "stretch", "antialias": False, "resize_filter": "lanczos"}, "lanczos"),
    ],
)
def test_options_that_contradict_each_other_are_refused(change: dict[str, Any], fragment: str) -> None:
    """In one message, with what to type."""
    with pytest.raises(UsageError) as refused:
        read_spec(None, GOOD | change)

    assert fragment in str(refused.value)


def test_a_crop_without_a_resize_takes_the_longer_side_of_the_input() -> None:
    """The least that it can be cut out of."""
    stated = read_spec(None, GOOD | {"fit": "crop"}).input_spec()

    assert (stated.fit, stated.resize) == ("crop", 64)
