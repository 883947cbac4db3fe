"""Inputs become shards, and shards pictures."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.plan_inputs import plan_inputs
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.read_shard import read_shard
from torchstone_runtime.shards.sorted_entries import sorted_entries
from torchstone_runtime.shards.storage import Entry, locate
from torchstone_runtime.shards.tar_index import index_tar

SMALL = ReadOptions(per_shard=4)


def items(*inputs: str | Path, options: ReadOptions = SMALL) -> list[ShardItem]:
    """Return all pictures of inputs."""
    with plan_inputs([str(given) for given in inputs], options) as shards:
        return [item for shard in shards for item in read_shard(shard, options)]


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    """Write an archive of named contents."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_a_shard_holds_up_to_so_many_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    """A shard holds up to so many files in the order of their names."""
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with plan_inputs([str(tmp_path)], SMALL) as shards:
        assert [shard.rows for shard in shards] == [4, 4, 1]
        assert [name for shard in shards for name in shard.names] == [str(tmp_path / f"{n}.png") for n in range(9)]
        assert (len(shards), shards.images) == (3, 9)


def test_a_changed_file_changes_its_shard_alone(tmp_path: Path) -> None:
    """A changed file changes its shard alone."""
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"")
    with plan_inputs([str(tmp_path)], SMALL) as shards:
        before = [shard.name for shard in shards]
    (tmp_path / "5.png").write_bytes(b"more")
    with plan_inputs([str(tmp_path)], SMALL) as shards:
        assert [old == new.name for old, new in zip(before, shards, strict=True)] == [True, False, True]


def test_entries_are_sorted_through_files_as_they_are_in_memory() -> None:
    """Entries are sorted through files as they are in memory."""
    entries = [Entry(f"folder/{(number * 7919) % 1009}", "file", number) for number in range(1009)]
    assert list(sorted_entries(entries, at_once=100)) == sorted(entries, key=lambda entry: entry.name)


def test_patterns_ranges_and_lists_name_the_same_files(tmp_path: Path) -> None:
    """Patterns ranges and lists name the same files."""
    for number in range(3):
        (tmp_path / f"a-{number}.png").write_bytes(b"")
    files = [str(tmp_path / f"a-{number}.png") for number in range(3)]
    (tmp_path / "list.txt").write_text("\n".join(files))
    for given in (f"{tmp_path}/a-*.png", f"{tmp_path}/a-{{0..2}}.png", f"@{tmp_path}/list.txt", f"{tmp_path}/**"):
        assert [item.id for item in items(given)] == files, given


@pytest.mark.parametrize("pattern", ["**/*", "**/sub*/**/*", "*", "**/su?"])
def test_a_pattern_names_each_picture_once(tmp_path: Path, pattern: str) -> None:
    """Folders that match are searched for what does not match itself; one of them is empty."""
    (tmp_path / "sub" / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "subempty").mkdir()
    names = ["sub/a.png", "sub/sub/b.png", "sub/sub/deep/c.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert sorted(item.id for item in items(f"{tmp_path}/{pattern}")) == [str(tmp_path / name) for name in names]


def test_a_webdataset_archive_gives_pictures_with_their_classes(tmp_path: Path) -> None:
    """A webdataset archive gives pictures with their classes."""
    members = {"0.png": b"first", "0.cls": b"3", "1.jpg": b"second", "1.cls": b"Bag", "2.txt": b"no picture"}
    write_tar(tmp_path / "a.tar", members)
    found = items(tmp_path / "a.tar")
    assert [(item.id, item.content, item.label) for item in found] == [
        (f"{tmp_path}/a.tar#0.png", b"first", 3),
        (f"{tmp_path}/a.tar#1.jpg", b"second", "Bag"),
    ]


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_a_linked_picture_of_an_archive_is_told(tmp_path: Path, kind: bytes) -> None:
    """As an item with an error where pictures are scored, as an error where they are learnt or measured."""
    write_tar(tmp_path / "a.tar", {"0.png": b"first"})
    with tarfile.open(tmp_path / "a.tar", "a") as archive:
        link = tarfile.TarInfo("1.png")
        link.type, link.linkname = kind, "0.png"
        archive.addfile(link)
    assert [(item.content, "is a link" in item.error) for item in items(tmp_path / "a.tar")] == [
        (b"first", False),
        (None, True),
    ]
    with pytest.raises(DataError, match=r"1\.png is a link"):
        list(index_tar(tmp_path / "a.tar", ReadOptions()))


def test_a_damaged_archive_gives_what_comes_before_and_an_item_that_says_so(tmp_path: Path) -> None:
    """A damaged archive gives what comes before and an item that says so."""
    write_tar(tmp_path / "a.tar", {"0.png": b"x" * 2000, "1.png": b"y" * 2000})
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:4000])
    found = items(tmp_path / "a.tar")
    assert found[0].content == b"x" * 2000
    assert "damaged" in found[-1].error


@pytest.mark.parametrize("end", [b"\xff" * 1024, b"\xff" * 200, b""], ids=["bad header", "cut header", "no end"])
def test_an_archive_without_its_end_is_damaged(tmp_path: Path, end: bytes) -> None:
    """To tarfile each of these is the end, unless nothing precedes it."""
    write_tar(tmp_path / "a.tar", {"0.png": b"x" * 2000})
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[: 512 + 2048] + end)
    found = items(tmp_path / "a.tar")
    assert found[0].content == b"x" * 2000
    assert "damaged" in found[-1].error


def test_what_is_hidden_in_an_archive_is_no_picture(tmp_path: Path) -> None:
    """The tar and the archiver of macOS write notes on each file beside it, with the file's own ending."""
    write_tar(tmp_path / "a.tar", {"a/._0.png": b"note", "a/0.png": b"x", "__MACOSX/a/0.png": b"note"})
    assert [item.id for item in items(tmp_path / "a.tar")] == [f"{tmp_path}/a.tar#a/0.png"]
    assert [member.name for member in index_tar(tmp_path / "a.tar", SMALL)] == ["a/0.png"]


def test_facts_nested_too_deeply_are_none(tmp_path: Path) -> None:
    """The pictures beside them are read."""
    write_tar(tmp_path / "a.tar", {"0.json": b"[" * 100_000, "0.png": b"x"})
    assert [item.content for item in items(tmp_path / "a.tar", options=ReadOptions(label_column="label"))] == [b"x"]


def test_a_label_of_thousands_of_digits_is_a_name(tmp_path: Path) -> None:
    """Python makes no number of them, and the archive is not damaged."""
    write_tar(tmp_path / "a.tar", {"0.cls": b"1" * 5000, "0.png": b"x"})
    assert [item.label for item in items(tmp_path / "a.tar")] == ["1" * 5000]


@pytest.mark.parametrize("length", [-1, 11])
def test_a_length_that_an_npz_file_does_not_hold_is_refused(tmp_path: Path, length: int) -> None:
    """A plan by a length of millions of millions would take all memory."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("images.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (length, 8, 8)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(10 * 8 * 8))
    with pytest.raises(DataError, match=f"is said to hold {length} images"):
        items(tmp_path / "a.npz")


def test_a_compressed_archive_cut_within_its_first_bytes_is_damaged(tmp_path: Path) -> None:
    """It ends within gzip's own header."""
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b\x08")
    assert "damaged" in items(tmp_path / "a.tar.gz")[-1].error


@pytest.mark.parametrize("compressed", [False, True])
def test_slices_of_an_npz_file_are_its_images(tmp_path: Path, compressed: bool) -> None:
    """Slices of an npz file are its images."""
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 5, 7), dtype=np.uint8)
    save = np.savez_compressed if compressed else np.savez
    save(tmp_path / "a.npz", images=images, labels=np.arange(10) % 2, class_names=np.array(["no", "yes"]))
    found = items(tmp_path / "a.npz")
    assert np.array_equal(np.stack([np.asarray(item.content) for item in found]), images)
    assert [item.label for item in found] == ["no", "yes"] * 5


@pytest.mark.parametrize("pictures", ["bytes", "struct"])
def test_row_groups_of_a_parquet_file_are_shards(tmp_path: Path, pictures: str) -> None:
    """Row groups of a parquet file are shards."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    contents = [b"%d" % number for number in range(10)]
    column = contents if pictures == "bytes" else [{"bytes": content, "path": None} for content in contents]
    pq.write_table(pa.table({"image": column, "label": ["a", "b"] * 5}), tmp_path / "a.parquet", row_group_size=4)
    options = ReadOptions(label_column="label")
    with plan_inputs([str(tmp_path)], options) as shards:
        assert [(shard.first, shard.rows) for shard in shards] == [(0, 4), (4, 4), (8, 2)]
    found = items(tmp_path, options=options)
    assert [item.content for item in found] == contents
    assert [item.label for item in found] == ["a", "b"] * 5
    assert found[9].id == f"{tmp_path}/a.parquet#9"


def test_a_text_in_parquet_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    """Texts are checked no sooner than Python's are made of them."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    texts = pa.array([b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"image": [b"x"], "label": texts}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        items(tmp_path, options=ReadOptions(label_column="label"))


def test_nothing_found_is_told(tmp_path: Path) -> None:
    """Nothing found is told."""
    for given in (tmp_path, tmp_path / "none.png", f"{tmp_path}/*.png"):
        with pytest.raises(DataError):
            items(given)


def test_a_password_in_an_address_is_refused() -> None:
    """A password in an address is refused."""
    with pytest.raises(UsageError, match="password"):
        locate("s3://key:secret@bucket/a.tar")
