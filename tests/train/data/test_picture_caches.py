import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.support import Mount, write_image_tree
from torchstone_runtime.data.folder import FileStore, load_folder
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.cached_pictures import CachedPictures, CachedStore, MemoryCache
from torchstone_train.data.disk_cache import DiskCache
from torchstone_train.data.pictures import FilePictures

SPEC = InputSpec(color="RGB", height=9, width=11, mean=(0.5,) * 3, std=(0.5,) * 3)
ALL = range(6)
SIZE = 20 * 20 * 3 + 24
"""Bytes of a cached picture's file, with its header."""


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """Six pictures of 20 x 20."""
    root = write_image_tree(tmp_path / "photos", {"a": 3, "b": 3}, side=20, mode="RGB")
    found = load_folder(root, "train", SPEC).store
    assert isinstance(found, FileStore)
    return found


def pixels(source: FilePictures | CachedPictures) -> list[bytes]:
    """Return all pictures' pixels."""
    return [source.picture(index).tobytes() for index in ALL]


def on_disk(files: FilePictures, place: Path, budget: int = 1 << 20) -> tuple[CachedPictures, list[str]]:
    """Return pictures with a cache on disk, and the list of what it says."""
    said: list[str] = []
    return CachedPictures(files, DiskCache(place, budget, said.append), files.key), said


def kept(place: Path) -> list[Path]:
    """Return the files of a cache."""
    return sorted(place.rglob("*.pixels"))


@pytest.mark.parametrize("shorter_side", [None, 12, 40])
def test_cached_pictures_are_the_decoded_ones(store: FileStore, tmp_path: Path, shorter_side: int | None) -> None:
    """In memory, on disk, and on disk in the run after."""
    files = FilePictures(store, shorter_side)
    expected = pixels(files)
    memory, disk = CachedPictures(files, MemoryCache(1 << 20)), on_disk(files, tmp_path / "cache")[0]
    for cached in (memory, memory, disk, disk, on_disk(files, tmp_path / "cache")[0]):
        assert pixels(cached) == expected


def test_what_is_cached_is_not_decoded_again(store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither from memory, nor by a later run."""
    files = FilePictures(store, 12)
    memory, (disk, _) = CachedPictures(files, MemoryCache(1 << 20)), on_disk(files, tmp_path / "cache")
    pixels(memory), pixels(disk)
    monkeypatch.setattr(FilePictures, "picture", lambda *_: pytest.fail("decoded"))
    pixels(memory), pixels(on_disk(files, tmp_path / "cache")[0])


def test_memory_cache_stays_within_its_budget(store: FileStore) -> None:
    """The first pictures are kept, the others are decoded."""
    cache = MemoryCache(4 * 20 * 20 * 4 + 100)
    cached = CachedPictures(FilePictures(store, 40), cache)
    assert pixels(cached) == pixels(cached) == pixels(FilePictures(store, 40))
    assert [cache.load(index) is not None for index in ALL] == [True] * 4 + [False] * 2


def test_changed_file_is_decoded_anew(store: FileStore, tmp_path: Path) -> None:
    """Told by its time, though its name and its size are the same."""
    path = store.root / store.names[2]
    Image.new("RGB", (20, 20), (1, 2, 3)).save(path, format="BMP")  # of one size, whatever is on it
    files = FilePictures(store, 40)
    cached, _ = on_disk(files, tmp_path / "cache")
    pixels(cached)
    before = path.stat()
    Image.new("RGB", (20, 20), (9, 8, 7)).save(path, format="BMP")
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert cached.picture(2).getpixel((0, 0)) == (9, 8, 7)


@pytest.mark.parametrize("moved", [True, False])
def test_another_picture_of_the_same_size_and_date_is_decoded(store: FileStore, tmp_path: Path, moved: bool) -> None:
    """As an archive unpacks them, whose files all have one date; written over, or moved into its place."""
    first = store.root / store.names[0]
    paths = [tmp_path / "black.bmp", tmp_path / "white.bmp"]
    for path, level in zip(paths, (0, 255), strict=True):
        Image.new("RGB", (20, 20), (level,) * 3).save(path)
        os.utime(path, (1_000_000_000,) * 2)
    paths[0].replace(first)
    files = FilePictures(store)
    cached, _ = on_disk(files, tmp_path / "cache")
    assert max(cached.picture(0).tobytes()) == 0
    if moved:
        paths[1].replace(first)
    else:
        first.write_bytes(paths[1].read_bytes())
        os.utime(first, (1_000_000_000,) * 2)
    assert min(on_disk(files, tmp_path / "cache")[0].picture(0).tobytes()) == 255


def test_another_size_or_specification_is_another_entry(store: FileStore, tmp_path: Path) -> None:
    """One directory serves all trainings."""
    for shorter_side in (None, 12, 14):
        files = FilePictures(store, shorter_side)
        assert pixels(on_disk(files, tmp_path / "cache")[0]) == pixels(files)
    assert len(kept(tmp_path / "cache")) == 18


@pytest.mark.parametrize("damage", [b"", b"tspix-1\n", None])
def test_damaged_entry_is_decoded_anew_and_mended(store: FileStore, tmp_path: Path, damage: bytes | None) -> None:
    """Cut off, empty, or with a byte changed."""
    files, place = FilePictures(store, 40), tmp_path / "cache"
    pixels(on_disk(files, place)[0])
    for path in kept(place):
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(bytes(content) if damage is None else damage)
    assert pixels(on_disk(files, place)[0]) == pixels(files)
    assert {path.stat().st_size for path in kept(place)} == {SIZE}


def test_vanished_picture_is_told_of_though_it_was_cached(store: FileStore, tmp_path: Path) -> None:
    """What is trained on is the folder."""
    files = FilePictures(store, 40)
    cached, _ = on_disk(files, tmp_path / "cache")
    pixels(cached)
    (store.root / store.names[1]).unlink()
    with pytest.raises(ImageError, match="does not exist"):
        cached.picture(1)


def test_full_cache_is_said_once_and_the_rest_is_decoded(store: FileStore, tmp_path: Path) -> None:
    """Its files never take more than they may."""
    files, place = FilePictures(store, 40), tmp_path / "cache"
    cached, said = on_disk(files, place, budget=4 * SIZE + 10)
    assert pixels(cached) == pixels(cached) == pixels(files)
    assert len(kept(place)) == 4
    assert len(said) == 1
    assert "is full" in said[0]


def test_entries_unused_for_longest_make_room(store: FileStore, tmp_path: Path) -> None:
    """A run that needs the room takes it from others' pictures, not from its own."""
    files, place = FilePictures(store, 40), tmp_path / "cache"
    first, _ = on_disk(files, place)
    for index in ALL:
        first.picture(index)
    for number, path in enumerate(kept(place)):
        os.utime(path, (number, number))
    used = DiskCache(place, 1 << 20, print)._path(files.key(0))
    os.utime(used, (0, 0))
    own, _ = on_disk(files, place, budget=6 * SIZE)
    own.picture(0)
    smaller = FilePictures(store, 19)
    cache = own._cache
    for index in range(3):
        cache.store(smaller.key(index), smaller.picture(index))
    assert used in kept(place)
    assert sum(path.stat().st_size for path in kept(place)) <= 6 * SIZE


def test_room_of_a_removed_file_is_taken_once(store: FileStore, tmp_path: Path) -> None:
    """Two processes found the same files of an earlier run; together they stay within the budget."""
    files, place = FilePictures(store, 40), tmp_path / "cache"
    pixels(on_disk(files, place)[0])
    caches = [DiskCache(place, 6 * SIZE, print, processes=2) for _ in range(2)]
    smaller = FilePictures(store, 19)
    for index in ALL:
        caches[index // 3].store(smaller.key(index), smaller.picture(index))
    assert sum(path.stat().st_size for path in kept(place)) <= 6 * SIZE


def test_a_picture_in_use_is_noted_while_nobody_makes_room(store: FileStore, tmp_path: Path) -> None:
    """Threads decode side by side: the files that may be removed don't change under the one that goes through them."""

    class Guarded(dict[Path, int]):
        def pop(self, path: Path, default: int | None = None) -> int | None:  # type: ignore[override]
            assert cache._lock.locked()
            return super().pop(path, default)

    files, place = FilePictures(store, 40), tmp_path / "cache"
    pixels(on_disk(files, place)[0])
    cache = DiskCache(place, 1 << 20, print)
    cache._unused = Guarded(cache._unused)
    assert cache.load(files.key(0)) is not None
    assert len(cache._unused) == 5


def test_place_that_cannot_be_made_is_one_warning(store: FileStore, tmp_path: Path) -> None:
    """And the training goes on."""
    (tmp_path / "file").touch()
    files = FilePictures(store, 40)
    cached, said = on_disk(files, tmp_path / "file" / "cache")
    assert pixels(cached) == pixels(cached) == pixels(files)
    assert len(said) == 1
    assert said[0].startswith("Warning: pictures can't be cached at")


def test_full_disk_is_one_warning_and_leaves_no_half_files(
    store: FileStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `/dev/full` answers every write."""
    real = os.fdopen

    def onto_full_disk(handle: int, mode: str) -> object:
        os.close(handle)
        return real(os.open("/dev/full", os.O_WRONLY), mode)

    monkeypatch.setattr("torchstone_train.data.disk_cache.os.fdopen", onto_full_disk)
    files, place = FilePictures(store, 40), tmp_path / "cache"
    cached, said = on_disk(files, place)
    assert pixels(cached) == pixels(files)
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_really_full_disk(store: FileStore, small_disk: Mount) -> None:
    """The same on a file system of its own, where one may be mounted."""
    files, place = FilePictures(store, 40), small_disk(8192)
    cached, said = on_disk(files, place)
    assert pixels(cached) == pixels(cached) == pixels(files)
    assert len(said) == 1


def test_what_killed_writers_left_is_cleared_up(store: FileStore, tmp_path: Path) -> None:
    """After a day; what is younger may still be written."""
    place = tmp_path / "cache"
    (place / "ab").mkdir(parents=True)
    old, young = place / "ab" / "old.partial", place / "ab" / "young.partial"
    for file in (old, young):
        file.touch()
    os.utime(old, (1, 1))
    on_disk(FilePictures(store, 40), place)
    assert (old.exists(), young.exists()) == (False, True)


def test_cached_store_reads_as_the_files_do(store: FileStore, tmp_path: Path) -> None:
    """Validation images come from the cache as they are decoded, to the bit; chosen ones too."""
    files = FilePictures(store)
    cached = CachedStore(on_disk(files, tmp_path / "cache")[0], SPEC.shape, 2)
    order = np.array([5, 0, 3])
    for _ in range(2):
        assert np.array_equal(cached.read(order), store.read(order))
        assert np.array_equal(cached.select(order).read(np.array([1, 2])), store.read(order[1:]))
