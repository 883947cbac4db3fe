"""A system that can't open folders, as Windows: what is written whole is written whole there too."""

import ctypes
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from torchstone_runtime.directories import replaced_directory
from torchstone_runtime.errors import OutputError


@pytest.fixture(autouse=True)
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that Windows lacks are gone; opening a folder and flushing what is open for reading fail as there."""
    os_open, os_fsync = os.open, os.fsync

    def open_file(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if os.path.isdir(path):  # noqa: PTH112 - as os.open takes it
            raise PermissionError(13, "Permission denied", path)
        return os_open(path, flags, mode, dir_fd=dir_fd)

    def flush(handle: int) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        os_fsync(handle)

    def no_library(name: str | None, **_: object) -> None:
        raise TypeError(name)

    monkeypatch.setattr(shutil, "_use_fd_functions", False)  # rmtree opens no folders there
    without_folders = vars(shutil)["_rmtree_unsafe"]
    monkeypatch.setattr(shutil, "_rmtree_impl", without_folders, raising=False)  # the same, from Python 3.14 on
    for name in ("O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(ctypes, "CDLL", no_library)


def _write(target: Path, text: str) -> None:
    with replaced_directory(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)


def test_a_directory_appears_and_is_replaced(tmp_path: Path) -> None:
    """With sub-folders, and with nothing left beside it."""
    _write(tmp_path / "out", "first")
    _write(tmp_path / "out", "second")

    assert (tmp_path / "out" / "sub" / "file").read_text() == "second"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 - names


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    """The half-written one is gone."""
    _write(tmp_path / "out", "first")
    with pytest.raises(OutputError), replaced_directory(tmp_path / "out"):
        raise OSError(28, "No space left on device")

    assert (tmp_path / "out" / "sub" / "file").read_text() == "first"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_one_that_may_have_an_owner_stays(tmp_path: Path) -> None:
    """No lock tells whether another export is writing it."""
    (tmp_path / ".out.partial-x").mkdir()
    _write(tmp_path / "out", "text")

    assert (tmp_path / ".out.partial-x").is_dir()
