import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from helpers.support import write_image_tree
from torchstone_runtime.data.catalog import Dataset, DatasetRef
from torchstone_runtime.data.folder import FileStore, list_classes, load_folder
from torchstone_runtime.data.split_folders import folder_layout
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.input_spec import InputSpec


def unpack_windows_zip(tree: Path, target: Path) -> Path:
    """Pack a tree as some programs of Windows do, with backslashes, and unpack it here."""
    archive = target.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(tree.rglob("*")):
            name = str(path.relative_to(tree)).replace("/", "\\")
            packed.writestr(name + "\\" if path.is_dir() else name, b"" if path.is_dir() else path.read_bytes())
    shutil.unpack_archive(archive, target)
    return target


def test_names_with_backslashes_stand_for_folders(tmp_path: Path, gray: InputSpec) -> None:
    """The same classes, ids and pixels as of the tree that was packed."""
    tree = write_image_tree(tmp_path / "tree", {"cat": 2, "dog": 1, "dog/deeper": 1})
    flat = unpack_windows_zip(tree, tmp_path / "flat")
    assert (flat / "cat\\000.png").is_file()
    expected, found = load_folder(tree, "whole", gray), load_folder(flat, "whole", gray)
    assert (found.class_names, list(found.ids)) == (expected.class_names, list(expected.ids))
    assert found.fingerprint == expected.fingerprint


@pytest.mark.parametrize("parts", [("train", "test"), ("Data/seg_train/seg_train", "Data/seg_test/seg_test")])
def test_parts_are_found_in_such_names(tmp_path: Path, gray: InputSpec, parts: tuple[str, str]) -> None:
    """Deeper and doubled, as in real folders."""
    for seed, part in enumerate(parts):
        write_image_tree(tmp_path / "tree" / part, {"cat": 2 + seed, "dog": 1}, seed=seed)
    flat = unpack_windows_zip(tmp_path / "tree", tmp_path / "flat")
    expected, found = (Dataset(DatasetRef("folder", root), root, gray) for root in (tmp_path / "tree", flat))
    assert [len(found.training()), len(found.test())] == [3, 4]
    assert list(found.test().ids) == ["cat/000.png", "cat/001.png", "cat/002.png", "dog/000.png"]
    assert found.training().fingerprint == expected.training().fingerprint
    assert found.test().fingerprint == expected.test().fingerprint


def test_other_files_in_such_names_are_counted(tmp_path: Path, gray: InputSpec) -> None:
    """Hidden ones and those of macOS are passed over."""
    flat = unpack_windows_zip(write_image_tree(tmp_path / "tree", {"cat": 1, "dog": 1}), tmp_path / "flat")
    for name in ("cat\\notes.txt", "cat\\.hidden.png", "__MACOSX\\cat\\x.png", "cat\\Thumbs.db"):
        (flat / name).write_text("x")
    store = load_folder(flat, "whole", gray).store
    assert isinstance(store, FileStore)
    assert (len(store), store.others.names) == (2, ["notes.txt"])


@pytest.mark.parametrize(
    "name", ["..\\x.png", "cat\\..\\..\\x.png", "C:\\cat\\x.png", "\\\\server\\cat\\x.png", "\\x.png"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    """Up, to a drive or to a server."""
    flat = unpack_windows_zip(write_image_tree(tmp_path / "tree", {"cat": 1, "dog": 1}), tmp_path / "flat")
    (flat / name).write_bytes(b"")
    with pytest.raises(DataError, match="leads out of the folder"):
        folder_layout(flat)


def test_links_with_such_names_are_not_read(tmp_path: Path) -> None:
    """Whatever they lead to."""
    flat = unpack_windows_zip(write_image_tree(tmp_path / "tree", {"cat": 1, "dog": 1}), tmp_path / "flat")
    (flat / "cat\\link.png").symlink_to(tmp_path / "tree" / "cat" / "000.png")
    assert list_classes(flat)["cat"] == ["cat\\000.png"]


def test_real_folders_beside_such_names_are_refused(tmp_path: Path) -> None:
    """One half would be left out."""
    flat = unpack_windows_zip(write_image_tree(tmp_path / "tree", {"cat": 1, "dog": 1}), tmp_path / "flat")
    write_image_tree(flat, {"cow": 1})
    with pytest.raises(DataError, match=r"has folders and also files called like cat\\000\.png"):
        folder_layout(flat)


def test_a_backslash_in_a_name_inside_a_class_folder_is_a_letter(tmp_path: Path, gray: InputSpec) -> None:
    """There the folder says what the class is."""
    root = write_image_tree(tmp_path, {"cat": 1, "dog": 1})
    (root / "cat" / "000.png").rename(root / "cat" / "a\\b.png")
    split = load_folder(root, "whole", gray)
    assert split.ids[0] == "cat/a\\b.png"
    assert len(split.store.read(np.arange(2))) == 2
