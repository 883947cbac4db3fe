"""Files that are damaged, or vanish after the plan was made: rows with an error, and no end of the job."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest

from helpers.in_process import run_in_process
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.scoring.shard_rows import shard_rows
from torchstone_runtime.shards.file_error import file_error
from torchstone_runtime.shards.item import ShardItem
from torchstone_runtime.shards.local_storage import LOCAL
from torchstone_runtime.shards.plan_inputs import plan_inputs
from torchstone_runtime.shards.read_options import ReadOptions
from torchstone_runtime.shards.storage import StorageError
from torchstone_runtime.shards.watched_file import WatchedFile

PICTURES = [encode_png(np.full((1, 28, 28), number, np.uint8)) for number in range(20)]


def write_table(path: Path) -> None:
    """Write two row groups of ten pictures, of which the second is damaged behind the footer's back."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = pa.table({"image": pa.array(PICTURES, pa.binary())})
    pq.write_table(columns, path, row_group_size=10, compression="snappy", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 200] = bytes(200)
    path.write_bytes(content)


def planned_rows(path: Path, *, lose: bool) -> list[ShardItem]:
    """Return the rows of a file in shards of eight, which vanishes after the plan was made or not."""
    options = ReadOptions(per_shard=8)
    with plan_inputs([str(path)], options) as shards:
        listed = list(shards)
    if lose:
        path.unlink()
    return [item for shard in listed for item in shard_rows(shard, options)]


def scored(out: Path) -> list[dict[str, str]]:
    """Return the rows of a job's parts, in their order."""
    return [row for part in sorted(out.glob("part-*.csv")) for row in csv.DictReader(part.open())]


def test_a_damaged_row_group_is_rows_with_an_error(tmp_path: Path) -> None:
    """The other group is scored, each picture has its row, and the job ends well."""
    write_table(tmp_path / "a.parquet")
    result = run_in_process("score", "fashion", tmp_path / "a.parquet", "--format", "csv", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    rows = scored(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"{tmp_path / 'a.parquet'}#{number}" for number in range(20)]
    assert [bool(row["error"]) for row in rows] == [False] * 10 + [True] * 10
    assert "cannot be read as Parquet" in rows[10]["error"]


def test_a_table_whose_footer_is_damaged_is_named_as_such_before_anything_is_scored(tmp_path: Path) -> None:
    """Pyarrow raises what a network would; the message does not send anybody to look at one."""
    write_table(tmp_path / "a.parquet")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    length = int.from_bytes(content[-8:-4], "little")
    content[-8 - length : -8] = b"\xff" * length
    (tmp_path / "a.parquet").write_bytes(content)
    result = run_in_process("score", "fashion", tmp_path / "a.parquet", "--format", "csv", "--out", tmp_path / "out")
    assert result.returncode == 2
    assert "a.parquet cannot be read as Parquet" in result.stderr
    assert "network" not in result.stderr


def test_rows_of_a_damaged_file_count_as_errors(tmp_path: Path) -> None:
    """More of them than are allowed end the job with exit code 1."""
    write_table(tmp_path / "a.parquet")
    given = ("score", "fashion", tmp_path / "a.parquet", "--format", "csv", "--out", tmp_path / "out")
    assert run_in_process(*given, "--max-errors", "9").returncode == 1


def test_a_damaged_array_is_rows_with_an_error(tmp_path: Path) -> None:
    """What was read before the damage is scored; the names of the rows are those of a sound file."""
    images = np.random.default_rng(0).integers(0, 256, (600, 28, 28), dtype=np.uint8)
    np.savez_compressed(tmp_path / "a.npz", images=images)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 50] = bytes(50)
    (tmp_path / "a.npz").write_bytes(content)
    result = run_in_process("score", "fashion", tmp_path / "a.npz", "--format", "csv", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    rows = scored(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"{tmp_path / 'a.npz'}#{number}" for number in range(600)]
    assert {bool(row["error"]) for row in rows} == {False, True}


def test_a_file_that_vanishes_after_the_plan_is_a_row_for_each_of_its_pictures(tmp_path: Path) -> None:
    """Each names its place and says that the file does not exist."""
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 28, 28), np.uint8))
    rows = planned_rows(tmp_path / "a.npz", lose=True)
    assert [row.id for row in rows] == [item.id for item in planned_again(tmp_path / "a.npz")]
    assert {row.error for row in rows} == {f"{tmp_path / 'a.npz'}: the file does not exist."}


def planned_again(path: Path) -> list[ShardItem]:
    """Write the file again, and return its rows."""
    np.savez(path, images=np.zeros((20, 28, 28), np.uint8))
    return planned_rows(path, lose=False)


def test_an_archive_that_vanishes_after_the_plan_is_one_row(tmp_path: Path) -> None:
    """Nobody has counted its pictures."""
    import tarfile

    (tmp_path / "0.png").write_bytes(PICTURES[0])
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "0.png", "0.png")
    (row,) = planned_rows(tmp_path / "a.tar", lose=True)
    assert (row.id, row.error) == (f"{tmp_path / 'a.tar'}#damaged", f"{tmp_path / 'a.tar'}: the file does not exist.")


def test_a_disk_that_fails_is_no_fault_of_the_file() -> None:
    """An input/output error stops the job; a file that may not be read is a row."""
    assert isinstance(file_error(LOCAL, "a.npz", OSError(5, "Input/output error")), StorageError)
    assert isinstance(file_error(LOCAL, "a.npz", PermissionError(13, "Permission denied")), ImageError)


def test_a_storage_error_stays_one_between_processes() -> None:
    """A worker of Ray raises it, and the driver knows it."""
    kept = pickle.loads(pickle.dumps(StorageError("s3://a cannot be read.")))  # noqa: S301 - made here
    assert isinstance(kept, StorageError)


def test_a_watched_file_remembers_that_reading_failed(tmp_path: Path) -> None:
    """Only an error of the file below counts, not one of whoever reads it."""
    (tmp_path / "a").write_bytes(b"content")
    with (tmp_path / "a").open("rb") as opened:
        file = WatchedFile(opened)
        assert (file.seek(3), file.read(2), file.tell(), file.failed) == (3, b"te", 5, False)
    with (tmp_path / "b").open("wb") as unreadable:
        file = WatchedFile(unreadable)
        with pytest.raises(OSError, match="read"):
            file.read()
        assert file.failed


@pytest.mark.parametrize("pictures", [12, 30])
def test_a_file_replaced_after_the_plan_gives_each_planned_row_once(tmp_path: Path, pictures: int) -> None:
    """Of one with fewer pictures the rest are errors, not missing rows; of one with more, none comes twice."""
    path = tmp_path / "a.npz"
    np.savez(path, images=np.zeros((20, 28, 28), np.uint8))
    options = ReadOptions(per_shard=8)
    with plan_inputs([str(path)], options) as shards:
        listed = list(shards)
    np.savez(path, images=np.zeros((pictures, 28, 28), np.uint8))
    rows = [item for shard in listed for item in shard_rows(shard, options)]
    assert [row.id for row in rows] == [f"{path}#{number}" for number in range(20)]
    assert [bool(row.error) for row in rows] == [number >= pictures for number in range(20)]
