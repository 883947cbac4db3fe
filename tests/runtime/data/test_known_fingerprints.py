"""A folder that was read before is not read again for its fingerprint alone; one that changed is."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.support import write_image_tree
from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data import known_fingerprints
from torchstone_runtime.data.folder import FileStore, load_folder
from torchstone_runtime.data.known_fingerprints import CACHE_VARIABLE, cache_dir, known_fingerprint
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.input_spec import InputSpec


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, for files that were just made."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(known_fingerprints, "_SETTLED_SECONDS", -60.0)
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each reading from now on."""
    found: list[int] = []
    read = FileStore.read

    def counted(store: FileStore, indices: Int64Array) -> Uint8Array:
        found.append(len(indices))
        return read(store, indices)

    monkeypatch.setattr(FileStore, "read", counted)
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Twelve pictures."""
    return write_image_tree(tmp_path / "tree", {"a": 6, "b": 6})


def load(tree: Path, gray: InputSpec) -> Split:
    """The tree as it is now."""
    return load_folder(tree, "whole", gray)


def test_an_unchanged_folder_is_read_once(cache: Path, tree: Path, gray: InputSpec, reads: list[int]) -> None:
    """The second time the fingerprint is the same, from the record."""
    first = known_fingerprint(load(tree, gray))
    assert sum(reads) == 12
    assert known_fingerprint(load(tree, gray)) == first == load(tree, gray).fingerprint
    assert sum(reads) == 24  # by the last one, which always reads
    assert len(list((cache / "fingerprints").iterdir())) == 1


@pytest.mark.usefixtures("cache")
def test_a_changed_picture_is_read_again(tree: Path, gray: InputSpec) -> None:
    """Even one of the same size whose date was put back."""
    before = known_fingerprint(load(tree, gray))
    file = tree / "a" / "000.png"
    stat, size = file.stat(), file.stat().st_size
    content = bytearray(file.read_bytes())
    other = Image.fromarray(255 - np.asarray(Image.open(file)))
    other.save(file)
    file.write_bytes(file.read_bytes()[:size].ljust(size, b"\0"))
    assert len(content) == file.stat().st_size
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = known_fingerprint(load(tree, gray))
    assert after != before
    assert after == load(tree, gray).fingerprint


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("change", ["removed", "moved to another class", "other size of the images"])
def test_whatever_the_fingerprint_follows_from_is_part_of_the_record(
    change: str, tree: Path, gray: InputSpec, rgb: InputSpec
) -> None:
    """Files, labels, and how pictures are converted."""
    before = known_fingerprint(load(tree, gray))
    spec = rgb if change == "other size of the images" else gray
    if change == "removed":
        (tree / "a" / "000.png").unlink()
    if change == "moved to another class":
        (tree / "a" / "000.png").rename(tree / "b" / "zzz.png")
    assert known_fingerprint(load(tree, spec)) == load(tree, spec).fingerprint != before


def test_files_that_have_just_changed_are_not_recorded(
    tree: Path, gray: InputSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the tick of the clock would not show."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert time.time() - (tree / "b" / "005.png").stat().st_ctime < 2
    known_fingerprint(load(tree, gray))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["", "0" * 63, "Z" * 64, "\xff"])
def test_a_damaged_record_is_computed_anew(content: str, cache: Path, tree: Path, gray: InputSpec) -> None:
    """And mended."""
    right = known_fingerprint(load(tree, gray))
    (record,) = (cache / "fingerprints").iterdir()
    record.write_bytes(content.encode("latin-1"))
    assert known_fingerprint(load(tree, gray)) == right
    assert record.read_bytes()[:64].decode() == right


@pytest.mark.usefixtures("cache")
def test_the_digests_of_the_images_are_remembered_too(tree: Path, gray: InputSpec) -> None:
    """So that equal images in two splits are told at every training, not at the first one only."""
    first, again = load(tree, gray), load(tree, gray)
    known_fingerprint(first)
    assert not again.has_image_digests
    known_fingerprint(again)
    assert not again.has_fingerprint
    assert (again.__dict__["image_digests"] == first.image_digests).all()


def test_what_a_certificate_states_never_comes_from_a_record(cache: Path, tree: Path, gray: InputSpec) -> None:
    """A record that lies changes `known_fingerprint`, and neither `fingerprint` nor what is found on the way."""
    right = known_fingerprint(load(tree, gray))
    (record,) = (cache / "fingerprints").iterdir()
    record.write_bytes(b"0" * 64 + record.read_bytes()[64:])
    split = load(tree, gray)
    assert known_fingerprint(split) == "0" * 64
    assert split.fingerprint == right


def test_a_cache_that_cannot_be_written_costs_nothing_else(
    tree: Path, gray: InputSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "cache").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(known_fingerprints, "_SETTLED_SECONDS", -60.0)
    assert known_fingerprint(load(tree, gray)) == load(tree, gray).fingerprint


def test_the_place_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As told, switched off, or the user's."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_dir() is None
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_dir() == tmp_path / "x" / "torchstone"


def test_a_walk_finds_the_fingerprint_on_its_way(tree: Path, gray: InputSpec, reads: list[int]) -> None:
    """What is read for its pixels is not read again for the fingerprint."""
    split = load(tree, gray)
    assert sum(len(batch) for batch in split.batches(5)) == 12
    assert split.fingerprint == load(tree, gray).in_memory().fingerprint
    assert sum(reads) == 24


def test_half_a_walk_finds_none(tree: Path, gray: InputSpec) -> None:
    """It would be that of half the pictures."""
    split = load(tree, gray)
    next(split.batches(5))
    assert not split.has_fingerprint
    assert split.fingerprint == load(tree, gray).fingerprint


def test_other_names_of_the_classes_keep_the_fingerprint(tree: Path, gray: InputSpec, reads: list[int]) -> None:
    """It does not follow from them."""
    split = load(tree, gray)
    assert split.fingerprint == split.with_class_names(("x", "y")).fingerprint
    assert sum(reads) == 12
