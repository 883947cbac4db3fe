"""This machine's file system, as a storage."""

import errno
import os
from pathlib import Path

import pytest

from torchstone_runtime.shards.local_storage import LOCAL


def test_a_file_that_vanishes_does_not_end_the_listing(tmp_path: Path) -> None:
    """The files after it are listed."""
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"")
    first, vanishing, *others = (str(tmp_path / name) for name in os.listdir(tmp_path))  # noqa: PTH208 - as read
    listing = LOCAL.entries(str(tmp_path))
    assert next(listing).path == first
    Path(vanishing).unlink()
    assert [entry.path for entry in listing] == others


def test_a_file_is_created_once_where_no_links_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on exFAT, and on many network drives."""

    def refusing(source: str, target: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)

    monkeypatch.setattr(os, "link", refusing)
    path = tmp_path / "claim"
    assert [LOCAL.create(str(path), content) for content in (b"first", b"second")] == [True, False]
    assert path.read_bytes() == b"first"
