"""Wheels that travel in pieces arrive whole, or not at all."""

from pathlib import Path

import pytest

from benchmarks.gpu.hiding import copies, may_hide, run_without
from benchmarks.gpu.wheels import cut, join, take


def write_wheels(folder: Path) -> dict[str, bytes]:
    """Write two files as wheels, one larger than a piece; return their contents."""
    contents = {"small-1.whl": b"s" * 30, "large-2.whl": bytes(range(256)) * 2}
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return contents


def test_what_was_cut_is_put_together_again(tmp_path: Path) -> None:
    """A wheel larger than a piece lies in several."""
    contents = write_wheels(tmp_path / "wheels")
    folders = cut(tmp_path / "wheels", tmp_path / "gpu", size=100)
    for folder in folders:
        assert sum(file.stat().st_size for file in folder.glob("*.part*")) <= 100
        take(folder, tmp_path / "kept")

    assert {file.name: file.read_bytes() for file in join(tmp_path / "kept")} == contents


def test_a_missing_piece_is_named_before_anything_is_installed(tmp_path: Path) -> None:
    """Half an installation would fail later, and in other words."""
    write_wheels(tmp_path / "wheels")
    first, *_ = cut(tmp_path / "wheels", tmp_path / "gpu", size=100)
    take(first, tmp_path / "kept")

    with pytest.raises(SystemExit, match=r"large-2\.whl"):
        join(tmp_path / "kept")


def test_a_hidden_file_is_empty_for_that_process_alone(tmp_path: Path) -> None:
    """Nothing changes on the disk that others read."""
    if not may_hide():
        pytest.skip("this process may not hide files")
    (tmp_path / "lib").mkdir()
    library = tmp_path / "lib" / "libexample.so.1"
    library.write_bytes(b"content")

    result = run_without(copies("libexample.so.1", [tmp_path]), ["wc", "-c", str(library)], 20)

    assert result.stdout.split()[0] == "0", result.stderr
    assert library.read_bytes() == b"content"
