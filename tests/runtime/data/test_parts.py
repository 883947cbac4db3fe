from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.split_folders import folder_layout
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec

CLASSES = {"cat": 1, "dog": 1}


def write_parts(root: Path, *parts: str) -> Path:
    """Write a tree of two classes into each of some sub-folders."""
    for part in parts:
        write_image_tree(root / part, CLASSES)
    return root


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("Train", "Test"),
        ("TRAIN", "TEST"),
        ("seg_train", "seg_test"),
        ("training_set", "test_set"),
        ("train-images", "test-images"),
        ("trainset", "testset"),
        ("images train", "images test"),
        ("train2017", "test2017"),
        ("asl_alphabet_train", "asl_alphabet_test"),
        ("Training", "test_set"),
        ("TrainingData", "TestingData"),
    ],
)
def test_parts_are_known_by_their_usual_names(tmp_path: Path, train: str, test: str) -> None:
    """In any case, and with what people add to them."""
    write_parts(tmp_path, train, test)
    assert folder_layout(tmp_path).parts == {"train": tmp_path / train, "test": tmp_path / test}


@pytest.mark.parametrize(
    "name", ["val", "VALID", "Validation", "dev", "eval", "validation_set", "val-images", "seg_val"]
)
def test_a_validation_part_is_known_by_its_usual_names(tmp_path: Path, name: str) -> None:
    """Beside train and test."""
    write_parts(tmp_path, "train", "test", name)
    assert folder_layout(tmp_path).parts["validation"] == tmp_path / name


@given(st.sampled_from(["train", "training", "seg_train", "train_set"]), st.data())
def test_the_case_of_a_name_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    """Whatever letters are capitals."""
    cased = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in name)
    root = tmp_path_factory.mktemp("parts")
    for folder in (cased, "Test"):
        (root / folder / "cat").mkdir(parents=True)
    assert folder_layout(root).parts == {"train": root / cased, "test": root / "Test"}


def test_a_folder_of_the_same_name_inside_is_the_part(tmp_path: Path) -> None:
    """As archives have it; pictures without labels beside the parts are named as unused."""
    write_parts(tmp_path, "seg_train/seg_train", "seg_test/Seg_Test")
    write_image_tree(tmp_path / "seg_pred", {"seg_pred": 2})
    layout = folder_layout(tmp_path)
    assert layout.parts == {"train": tmp_path / "seg_train/seg_train", "test": tmp_path / "seg_test/Seg_Test"}
    assert layout.unused == ("seg_pred",)


def test_the_parts_may_lie_one_folder_deeper(tmp_path: Path) -> None:
    """An unpacked archive holds one folder, and what macOS added."""
    write_parts(tmp_path / "chest_xray", "train", "test", "val")
    (tmp_path / "__MACOSX").mkdir()
    assert folder_layout(tmp_path).parts["test"] == tmp_path / "chest_xray" / "test"


def test_masks_beside_the_images_are_no_parts(tmp_path: Path) -> None:
    """`train_masks` says more than `train`."""
    write_parts(tmp_path, "train", "test", "train_masks", "test_masks")
    layout = folder_layout(tmp_path)
    assert layout.parts == {"train": tmp_path / "train", "test": tmp_path / "test"}
    assert layout.unused == ("test_masks", "train_masks")


@pytest.mark.parametrize("names", [("train", "Training", "test"), ("train", "test", "val", "dev")])
def test_two_folders_for_one_part_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    """Which one is meant can't be known."""
    write_parts(tmp_path, *names)
    with pytest.raises(DataError, match=r"several folders for its (train|validation) part"):
        folder_layout(tmp_path)


@pytest.mark.parametrize("name", ["Training", "seg_train"])
def test_a_part_by_any_name_without_the_other_is_refused(tmp_path: Path, name: str) -> None:
    """A validation part is not taken for the test, and the message says why."""
    write_parts(tmp_path, name, "valid")
    with pytest.raises(DataError, match=rf"(?s)has {name}/ but no test/.*rename it to test/"):
        folder_layout(tmp_path)


@pytest.mark.parametrize("name", ["steam train", "blood_test", "train", "validation", "trainer", "contest"])
def test_a_class_may_have_such_a_name(tmp_path: Path, gray: InputSpec, name: str) -> None:
    """Its folder holds images, or its name only contains the word."""
    write_image_tree(tmp_path, {name: 1, "plane": 1})
    assert folder_layout(tmp_path).parts == {"whole": tmp_path}
    assert load_folder(tmp_path, "whole", gray).class_names == tuple(sorted((name, "plane")))


@pytest.mark.parametrize("names", [("fold1", "fold2"), ("Lehrdaten", "Probe"), ("a", "b", "c")])
def test_classes_that_hold_the_same_sub_folders_are_refused(
    tmp_path: Path, gray: InputSpec, names: tuple[str, ...]
) -> None:
    """They are likely parts, by names that aren't known; the message says so."""
    write_parts(tmp_path, *names)
    with pytest.raises(DataError, match=r"(?s)hold the same sub-folders \(cat, dog\).*likely the classes.*train/ and"):
        load_folder(tmp_path, "whole", gray)


def test_a_part_that_lacks_a_class_is_refused_as_well(tmp_path: Path, gray: InputSpec) -> None:
    """Most of the sub-folders are the same."""
    write_image_tree(tmp_path / "one", {"cat": 1, "dog": 1, "cow": 1})
    write_image_tree(tmp_path / "two", {"cat": 1, "dog": 1})
    with pytest.raises(DataError, match="hold the same sub-folders"):
        load_folder(tmp_path, "whole", gray)


def test_one_sub_folder_in_each_class_is_no_part(tmp_path: Path, gray: InputSpec) -> None:
    """Some datasets keep the images of a class in its `images/`."""
    for name in CLASSES:
        write_image_tree(tmp_path / name, {"images": 2})
    assert load_folder(tmp_path, "whole", gray).class_names == ("cat", "dog")


def test_classes_that_the_model_knows_may_hold_the_same_sub_folders(tmp_path: Path, gray: InputSpec) -> None:
    """`cat/day`, `cat/night`, `dog/day`, `dog/night` of a model of cats and dogs."""
    for name in CLASSES:
        write_image_tree(tmp_path / name, {"day": 1, "night": 1})
    assert len(load_folder(tmp_path, "test", gray, ("cat", "dog"))) == 4


def test_a_part_without_class_folders_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """The test pictures of a competition have no labels."""
    write_parts(tmp_path, "train")
    write_image_tree(tmp_path, {"test": 3})
    with pytest.raises(DataError, match="test has images but no class folders"):
        Dataset(DatasetRef("folder", tmp_path), tmp_path, gray).test()


def test_a_link_back_to_the_folder_ends(tmp_path: Path) -> None:
    """The search for parts doesn't follow links inwards."""
    (tmp_path / "again").symlink_to(tmp_path)
    assert folder_layout(tmp_path).parts == {"whole": tmp_path}
