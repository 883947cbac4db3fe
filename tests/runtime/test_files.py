import os
import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from torchstone_runtime.errors import OutputError
from torchstone_runtime.files import (
    atomic_writer,
    current_umask,
    reported_as_output_error,
    require_writable_parent,
    write_atomic,
)


class StoppedError(Exception):
    """Something went wrong while writing."""


def stop_while_writing(path: Path) -> None:
    """Write half a file and fail."""
    with atomic_writer(path) as file:
        file.write(b"half of it")
        file.flush()
        raise StoppedError


def test_text_and_bytes_are_written(tmp_path: Path) -> None:
    """Text as UTF-8, bytes as they are; an earlier file is replaced."""
    path = tmp_path / "file"
    write_atomic(path, b"\xff\x00")
    assert path.read_bytes() == b"\xff\x00"
    write_atomic(path, "Größe\n")
    assert path.read_bytes() == "Größe\n".encode()
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - names


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    """Neither a partial file nor a temporary one stays."""
    with pytest.raises(StoppedError):
        stop_while_writing(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_leaves_the_earlier_file(tmp_path: Path) -> None:
    """What was there before stays as it was, and alone."""
    path = tmp_path / "file"
    path.write_text("earlier")
    with pytest.raises(StoppedError):
        stop_while_writing(path)
    assert path.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_earlier_file_until_the_end(tmp_path: Path) -> None:
    """The new file takes its place in one step."""
    path = tmp_path / "file"
    path.write_text("earlier")
    with atomic_writer(path) as file:
        file.write(b"later")
        file.flush()
        assert path.read_text() == "earlier"
    assert path.read_text() == "later"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_respects_the_umask(tmp_path: Path, mask: int, mode: int) -> None:
    """A file has the permissions of one that is written plainly, and the mask is as it was."""
    before = os.umask(mask)
    try:
        write_atomic(tmp_path / "file", "x")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


@pytest.mark.parametrize("place", ["nowhere/file", "plain/file", "folder"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    """No such folder, a file instead of a folder, or a folder instead of a file."""
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=f"Cannot write .*{place}"):
        write_atomic(tmp_path / place, "x")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "plain"]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    """A rename would put a plain file in the place of a pipe or of /dev/null."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(OutputError, match="not a regular file"):
        write_atomic(path, "x")
    with pytest.raises(OutputError, match="not a regular file"):
        require_writable_parent(path)
    assert path.is_fifo()


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file that it leads to is written; the link stays one."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write_atomic(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "x"


def test_a_parent_is_made_before_the_work(tmp_path: Path) -> None:
    """The folder of an output is created, and nothing is left in it."""
    require_writable_parent(tmp_path / "a" / "b" / "file")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("place", ["folder", "plain/file"])
def test_a_parent_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    """The output is a folder, or its parent is a file."""
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=f"Cannot write .*{place}"):
        require_writable_parent(tmp_path / place)


@pytest.mark.parametrize(("place", "named"), [("plain", "it"), ("plain/run", "plain"), ("plain/deep/run", "plain")])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, place: str, named: str) -> None:
    """Not as "File exists": that is what a person wants of a file."""
    (tmp_path / "plain").touch()
    where = named if named == "it" else str(tmp_path / named)
    said = re.escape(f"{place}: {where} is a file, and a folder is needed there.")
    with pytest.raises(OutputError, match=said), reported_as_output_error(tmp_path / place):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)


def test_the_mask_is_read_by_several_threads_at_once() -> None:
    """Each read the other's temporary one, and left it to the process: later files were readable by all."""
    before, pause = os.umask(0o077), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda _: {current_umask() for _ in range(3000)}, range(4))
            assert set().union(*found) == {0o077}
        assert current_umask() == 0o077
    finally:
        sys.setswitchinterval(pause)
        os.umask(before)
