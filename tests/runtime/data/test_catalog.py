from pathlib import Path

import numpy as np
import pytest

from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images.input_spec import InputSpec


@pytest.mark.parametrize("text", ["digits", "fashion-mnist", "mnist", "folder:some/where", "npz:a:b.npz"])
def test_a_name_reads_back_as_it_is_written(text: str) -> None:
    """Every kind of name survives the round trip."""
    assert str(DatasetRef.parse(text)) == text


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No shell expands a tilde that follows a colon."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert DatasetRef.parse("folder:~/pictures").path == tmp_path / "pictures"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("digit", "Did you mean 'digits'"),
        ("fashon-mnist", "Did you mean 'fashion-mnist'"),
        ("FASHION-MNIST", "Did you mean 'fashion-mnist'"),
        ("foldr:x", "Did you mean 'folder:'"),
        ("digits:x", "Did you mean 'digits'"),
        ("zzzzzzzz", "Known: digits, fashion-mnist, folder:, mnist, npz:"),
        ("folder:", "Write folder:PATH"),
        ("npz", "Write npz:PATH"),
    ],
)
def test_a_misspelt_name_gets_the_nearest_one(text: str, message: str) -> None:
    """The message repeats the word and suggests."""
    with pytest.raises(UsageError, match=message) as caught:
        DatasetRef.parse(text)
    assert repr(text) in caught.value.problem


def test_a_bare_path_gets_its_prefix(tmp_path: Path) -> None:
    """Who forgets `folder:` or `npz:` is told the whole word."""
    np.savez(tmp_path / "data.npz", images=np.zeros((1, 2, 2), np.uint8))
    with pytest.raises(UsageError, match=f"write folder:{tmp_path}"):
        DatasetRef.parse(str(tmp_path))
    with pytest.raises(UsageError, match="write npz:"):
        DatasetRef.parse(str(tmp_path / "data.npz"))


def test_a_source_without_a_test_part_holds_out_a_fifth(tmp_path: Path) -> None:
    """Training and test are disjoint and make up the whole, class by class."""
    dataset = Dataset(DatasetRef.parse("digits"), tmp_path)
    training, test = dataset.training(), dataset.test()
    assert not dataset.has_test_part
    assert not {*training.ids} & {*test.ids}
    assert len(training) + len(test) == len(dataset.whole()) == 1797
    np.testing.assert_allclose(np.bincount(test.labels) / np.bincount(dataset.whole().labels), 0.2, atol=0.003)
    assert dataset.validation() is None


def test_a_divided_folder_keeps_its_parts(tmp_path: Path, gray: InputSpec) -> None:
    """`train/`, `test/` and `val/` are taken as they are, with the labels of the training classes."""
    write_image_tree(tmp_path / "train", {"a": 3, "b": 3, "c": 3})
    write_image_tree(tmp_path / "test", {"c": 2, "a": 1})
    write_image_tree(tmp_path / "val", {"b": 4})
    dataset = Dataset(DatasetRef.parse(f"folder:{tmp_path}"), tmp_path, gray)
    validation = dataset.validation()
    assert dataset.has_test_part
    assert len(dataset.training()) == 9
    assert dataset.test().labels.tolist() == [0, 2, 2]
    assert validation is not None
    assert validation.labels.tolist() == [1] * 4
    with pytest.raises(UsageError, match="has a test part of its own"):
        dataset.whole()


def test_a_test_class_that_training_lacks_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """The model could never give it. There is no model yet, nor a map of its names in a training."""
    write_image_tree(tmp_path / "train", {"a": 1, "b": 1})
    write_image_tree(tmp_path / "test", {"a": 1, "z": 1})
    with pytest.raises(DataError, match=r"in its test part that its training part lacks: z") as refused:
        Dataset(DatasetRef.parse(f"folder:{tmp_path}"), tmp_path, gray).test()
    assert "--class-map" not in str(refused.value)


def test_a_validation_class_that_training_lacks_is_refused(tmp_path: Path, gray: InputSpec) -> None:
    """As one of the test part is."""
    for part, names in (("train", "ab"), ("val", "az"), ("test", "ab")):
        write_image_tree(tmp_path / part, dict.fromkeys(names, 1))
    with pytest.raises(DataError, match=r"in its validation part that its training part lacks: z"):
        Dataset(DatasetRef.parse(f"folder:{tmp_path}"), tmp_path, gray).validation()


def test_an_npz_file_is_divided_the_same_way_each_time(tmp_path: Path) -> None:
    """Two readings hold out the same samples."""
    images = np.random.default_rng(0).integers(0, 256, (40, 5, 5), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", images=images, labels=np.arange(40) % 4)
    dataset = Dataset(DatasetRef.parse(f"npz:{tmp_path}/d.npz"), tmp_path)
    assert dataset.test().fingerprint == dataset.test().fingerprint
    assert np.bincount(dataset.test().labels).tolist() == [2, 2, 2, 2]


def test_a_home_directory_that_does_not_exist_is_named() -> None:
    """`~nobody` is a mistake of the user's, not a fault."""
    with pytest.raises(UsageError, match="no home directory"):
        DatasetRef.parse("folder:~there-is-no-such-user/photos")
