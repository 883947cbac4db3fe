"""This machine's file system, as a storage."""

import os
from pathlib import Path

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
