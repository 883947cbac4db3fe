import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.folder import folder_parts, list_classes, load_folder
from torchstone_runtime.errors import DataError, ImageError
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec


def test_sub_folders_are_the_classes(tmp_path: Path, gray: InputSpec) -> None:
    """Classes are sorted by name, images by path, and ids are relative paths."""
    write_image_tree(tmp_path, {"cat": 2, "ant": 3})
    split = load_folder(tmp_path, "whole", gray)
    assert split.class_names == ("ant", "cat")
    assert split.labels.tolist() == [0, 0, 0, 1, 1]
    assert list(split.ids) == ["ant/000.png", "ant/001.png", "ant/002.png", "cat/000.png", "cat/001.png"]


def test_pixels_are_those_of_decode_image(tmp_path: Path, rgb: InputSpec) -> None:
    """Reading any choice of indices gives what decoding those files gives."""
    write_image_tree(tmp_path, {"a": 3, "b": 2}, side=17, mode="RGB")
    split = load_folder(tmp_path, "whole", rgb)
    expected = [decode_image(tmp_path / split.ids[index], rgb) for index in (4, 0, 2)]
    np.testing.assert_array_equal(split.store.read(np.array([4, 0, 2])), np.stack(expected))


def test_images_in_deeper_folders_belong_to_the_class(tmp_path: Path, gray: InputSpec) -> None:
    """A class folder may have folders of its own."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    write_image_tree(tmp_path / "a", {"day two": 1})
    assert load_folder(tmp_path, "whole", gray).ids[:2] == ["a/000.png", "a/day two/000.png"]


def test_a_sub_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may read everything, as these tests may, is refused by nothing but a replaced function."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    write_image_tree(tmp_path / "a", {"day two": 1})

    def refusing(path: str, _real: Callable[[str], Any] = os.scandir) -> Any:  # noqa: ANN401 - as os.scandir
        if str(path) == str(tmp_path / "a/day two"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return _real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=r"The folder .*/a/day two cannot be read: Permission denied"):
        list_classes(tmp_path)


def test_hidden_and_other_files_are_ignored(tmp_path: Path) -> None:
    """What cameras, editors and macOS leave behind is no image."""
    write_image_tree(tmp_path, {"a": 1, "b": 1, ".cache": 2})
    write_image_tree(tmp_path / "a", {".thumbnails": 1})
    for name in (".DS_Store", "._000.png", "notes.txt", "Thumbs.db"):
        (tmp_path / "a" / name).write_bytes(b"x")
    (tmp_path / "README.md").touch()
    assert list_classes(tmp_path) == {"a": ["a/000.png"], "b": ["b/000.png"]}


def test_suffixes_in_capitals_count(tmp_path: Path) -> None:
    """Cameras write `.JPG`."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "000.png").rename(tmp_path / "a" / "000.PNG")
    assert list_classes(tmp_path)["a"] == ["a/000.PNG"]


def test_an_empty_folder_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """The message says what was expected."""
    with pytest.raises(DataError, match=r"(?s)is empty: it has no class folders.*one sub-folder per class"):
        load_folder(tmp_path, "whole", gray)


def test_one_class_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """There is nothing to tell apart."""
    write_image_tree(tmp_path, {"cat": 3})
    with pytest.raises(DataError, match=r"only one class \('cat'\); a classifier needs at least two"):
        load_folder(tmp_path, "whole", gray)


def test_a_class_without_images_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """A folder with only other files is named."""
    write_image_tree(tmp_path, {"cat": 3, "dog": 0})
    (tmp_path / "dog" / "notes.txt").touch()
    with pytest.raises(DataError, match="dog holds no image files"):
        load_folder(tmp_path, "whole", gray)


def test_given_classes_may_be_absent(tmp_path: Path, gray: InputSpec) -> None:
    """With the model's classes given, labels follow them and a folder need not have them all."""
    write_image_tree(tmp_path, {"c": 1, "a": 2})
    split = load_folder(tmp_path, "test", gray, ("a", "b", "c"))
    assert split.class_names == ("a", "b", "c")
    assert split.labels.tolist() == [0, 0, 2]


def test_a_class_that_was_not_given_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """The message has the unknown class and both lists."""
    write_image_tree(tmp_path, {"a": 1, "cow": 1})
    with pytest.raises(DataError, match=r"(?s)does not know: cow.*model's classes: a, b"):
        load_folder(tmp_path, "test", gray, ("a", "b"))


def test_given_classes_but_no_images_are_refused(tmp_path: Path, gray: InputSpec) -> None:
    """There is nothing to measure."""
    with pytest.raises(DataError, match="holds no images"):
        load_folder(tmp_path, "test", gray, ("a", "b"))


def test_a_text_file_named_png_is_named_when_read(tmp_path: Path, gray: InputSpec) -> None:
    """The error names the file that is no image."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "b" / "notes.png").write_text("not an image")
    split = load_folder(tmp_path, "whole", gray)
    with pytest.raises(ImageError, match=r"b/notes\.png is not an image"):
        split.store.read(np.arange(3))


def test_links_that_lead_outside_are_refused(tmp_path: Path, gray: InputSpec) -> None:
    """A file outside the folder is not read through a link in it."""
    root = write_image_tree(tmp_path / "data", {"a": 1, "b": 1})
    Image.new("L", (5, 5)).save(tmp_path / "secret.png")
    (root / "a" / "link.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(DataError, match=r"link\.png is a link that leads outside"):
        load_folder(root, "whole", gray)


def test_a_class_folder_that_leads_outside_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """Neither is a whole folder."""
    root = write_image_tree(tmp_path / "data", {"a": 1, "b": 1})
    write_image_tree(tmp_path / "elsewhere", {"secret": 2})
    (root / "c").symlink_to(tmp_path / "elsewhere" / "secret")
    with pytest.raises(DataError, match="c is a link that leads outside"):
        load_folder(root, "whole", gray)


def test_links_inside_the_folder_are_read(tmp_path: Path) -> None:
    """One file may stand in two places."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "same.png").symlink_to(tmp_path / "b" / "000.png")
    assert list_classes(tmp_path)["a"] == ["a/000.png", "a/same.png"]


@pytest.mark.parametrize("target", ["../elsewhere", "b"])
def test_a_link_to_a_folder_inside_of_a_class_is_refused(tmp_path: Path, target: str) -> None:
    """It is not followed, and its pictures would be missing without a word."""
    root = write_image_tree(tmp_path / "data", {"a": 1, "b": 1})
    write_image_tree(tmp_path, {"elsewhere": 2})
    (root / "a" / "more").symlink_to(root / target)
    with pytest.raises(DataError, match="more is a link to a folder"):
        list_classes(root)


def test_a_class_name_with_control_characters_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """It would steer the terminal that prints it."""
    write_image_tree(tmp_path, {"a": 1, "b\x1b[2J": 1})
    with pytest.raises(DataError, match="holds control characters"):
        load_folder(tmp_path, "whole", gray)


def test_a_file_name_that_is_not_utf8_is_read_and_can_be_written(tmp_path: Path, gray: InputSpec) -> None:
    """Old archives have Latin-1 names: the image is read, and its id shows the odd byte as an escape."""
    write_image_tree(tmp_path, {"a": 1, "b": 1})
    os.rename(tmp_path / "a" / "000.png", os.fsencode(tmp_path / "a") + b"/caf\xe9.png")  # noqa: PTH104 - bytes
    split = load_folder(tmp_path, "whole", gray)
    assert split.ids[0].encode() == rb"a/caf\udce9.png"
    assert len(split.store.read(np.arange(2))) == 2


def test_parts_of_a_divided_folder(tmp_path: Path) -> None:
    """`train/` and `test/` are parts, as is a validation folder by any of its names; else it is one tree."""
    assert folder_parts(tmp_path) == {"whole": tmp_path}
    for name in ("train", "test", "val"):
        (tmp_path / name).mkdir()
    expected = {"train": tmp_path / "train", "test": tmp_path / "test", "validation": tmp_path / "val"}
    assert folder_parts(tmp_path) == expected


@pytest.mark.parametrize(("present", "lacking"), [("train", "test"), ("test", "train")])
def test_one_part_without_the_other_is_refused(tmp_path: Path, present: str, lacking: str) -> None:
    """Taken as one tree, the part would become a class."""
    write_image_tree(tmp_path / present, {"a": 1, "b": 1})
    write_image_tree(tmp_path / "val", {"a": 1, "b": 1})
    with pytest.raises(DataError, match=f"has {present}/ but no {lacking}/"):
        folder_parts(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    """Pictures of trains, say in French: the folder holds images, not folders."""
    write_image_tree(tmp_path, {"train": 2, "avion": 2})
    assert folder_parts(tmp_path) == {"whole": tmp_path}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """So is a file in its place."""
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(DataError, match=f"{name} is not a folder"):
            folder_parts(tmp_path / name)


NFC, NFD = "Café", "Cafe\u0301"


@pytest.mark.parametrize(("written", "given"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_a_name_in_either_normal_form_is_the_same_class(
    tmp_path: Path, gray: InputSpec, written: str, given: str
) -> None:
    """Letters with accents: macOS writes them as two characters, others as one."""
    write_image_tree(tmp_path, {written: 1, "Bar": 1})
    split = load_folder(tmp_path, "test", gray, ("Bar", given))
    assert (split.labels.tolist(), split.class_names) == ([0, 1], ("Bar", given))


def test_the_parts_of_a_dataset_may_use_both_normal_forms(tmp_path: Path, gray: InputSpec) -> None:
    """A training part from macOS, a test part from Linux; the classes are called by the composed names."""
    write_image_tree(tmp_path / "train", {NFD: 1, "Bar": 1})
    write_image_tree(tmp_path / "test", {NFC: 1, "Bar": 1})
    dataset = Dataset(DatasetRef("folder", tmp_path), tmp_path, gray)
    assert dataset.training().class_names == dataset.test().class_names == ("Bar", NFC)


def test_two_folders_of_one_name_in_both_normal_forms_are_refused(tmp_path: Path) -> None:
    """They look the same, and one class it must be."""
    write_image_tree(tmp_path, {NFD: 1, NFC: 1})
    with pytest.raises(DataError, match=r"two class folders called 'Café'.*\(Unicode's NFC and NFD\)"):
        list_classes(tmp_path)
