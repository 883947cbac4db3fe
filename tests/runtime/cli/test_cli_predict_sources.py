"""Where `predict` takes its pictures from, and how it ends when somebody interrupts it."""

import errno
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.in_process import run_in_process
from helpers.support import assert_refused, run_torchstone
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.inference.classifier import Classifier

PREDICT = [sys.executable, "-m", "torchstone_runtime", "predict"]


@pytest.fixture
def folder(tmp_path: Path, digits: Split) -> Path:
    """A working directory with `a.png`, `b.png`, `sub/c.png` and `sub/deep/d.png`."""
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    for name, image in zip(("a", "b", "sub/c", "sub/deep/d"), digits.store.read(np.arange(4)), strict=True):
        (tmp_path / f"{name}.png").write_bytes(encode_png(image))
    return tmp_path


def named(result: "subprocess.CompletedProcess[str]") -> list[str]:
    """Return the names on stdout."""
    assert result.returncode == 0, result.stderr
    return [line.split("\t")[0] for line in result.stdout.splitlines()]


def through_stdin(bundle: Path, content: bytes, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run `predict BUNDLE -` with that on stdin."""
    result = subprocess.run([*PREDICT, str(bundle), "-"], input=content, capture_output=True, cwd=folder, check=False)
    return subprocess.CompletedProcess(result.args, result.returncode, result.stdout.decode(), result.stderr.decode())


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.png", ["a.png", "b.png"]),
        ("[b-z].png", ["b.png"]),
        ("**/*.png", ["a.png", "b.png", "sub/c.png", "sub/deep/d.png"]),
        ("su?", ["sub/c.png", "sub/deep/d.png"]),
        ("**/*", ["a.png", "b.png", "sub/c.png", "sub/deep/d.png"]),
        ("**", ["a.png", "b.png", "sub/c.png", "sub/deep/d.png"]),
        ("**/[sd]*", ["sub/c.png", "sub/deep/d.png"]),
    ],
)
def test_patterns_are_expanded(digits_bundle: Path, folder: Path, pattern: str, expected: list[str]) -> None:
    """As a shell would, sorted; folders that match are searched, and each picture is named once."""
    (folder / "sub" / "empty").mkdir()
    assert named(run_in_process("predict", digits_bundle, pattern, cwd=folder)) == expected


def test_pictures_before_an_empty_folder_are_classified(digits_bundle: Path, folder: Path) -> None:
    """The folder is told after them."""
    (folder / "empty").mkdir()
    result = run_in_process("predict", digits_bundle, "a.png", "empty", "b.png", cwd=folder)
    assert result.returncode == 2
    assert "empty holds no image files" in result.stderr
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == ["a.png"]


def test_a_folder_that_cannot_be_read_is_named(
    classifier: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may read everything, as these tests may, is refused by nothing but a replaced function."""

    def refusing(path: str, _real: Callable[[str], Any] = os.scandir) -> Any:  # noqa: ANN401 - as os.scandir
        if path == str(folder / "sub"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return _real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match=rf"The folder {folder}/sub cannot be read: Permission denied"):
        classifier.predict(str(folder))


def test_a_file_whose_name_looks_like_a_pattern(digits_bundle: Path, folder: Path) -> None:
    """It is taken as it is."""
    (folder / "a.png").rename(folder / "[b].png")
    assert named(run_in_process("predict", digits_bundle, "[b].png", cwd=folder)) == ["[b].png"]


def test_a_pattern_without_a_match_is_told(digits_bundle: Path, folder: Path) -> None:
    """As a name that doesn't exist."""
    assert_refused(run_in_process("predict", digits_bundle, "*.jpg", cwd=folder), "*.jpg does not exist")


def test_paths_come_through_stdin(digits_bundle: Path, folder: Path) -> None:
    """One a line; folders are searched, empty lines passed over, and brackets mean nothing."""
    (folder / "a.png").rename(folder / "[a].png")
    result = through_stdin(digits_bundle, b"b.png\r\n\nsub\n[a].png", folder)
    assert named(result) == ["b.png", "sub/c.png", "sub/deep/d.png", "[a].png"]


def test_an_image_comes_through_stdin(digits_bundle: Path, folder: Path) -> None:
    """It is known by its first bytes, and named `-`."""
    result = through_stdin(digits_bundle, (folder / "a.png").read_bytes(), folder)
    assert named(result) == ["-"]
    assert (
        result.stdout.partition("\t")[2]
        == run_in_process("predict", digits_bundle, folder / "a.png").stdout.partition("\t")[2]
    )


@pytest.mark.parametrize("name", ["BMW.png", "P5 car.png", "II.png", "GIF8.png"])
def test_paths_that_begin_like_an_image_are_paths(digits_bundle: Path, folder: Path, name: str) -> None:
    """A file name is not taken for image data."""
    (folder / "a.png").rename(folder / name)
    assert named(through_stdin(digits_bundle, f"{name}\n".encode(), folder)) == [name]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "stdin is empty"),
        (b"\x7fELF\0\0\0", "neither paths nor an image"),
        (b"\x89PNG\r\n\x1a\n", "is not an image in a supported format"),
        (b"nowhere.png\n", "nowhere.png does not exist"),
    ],
)
def test_nothing_of_use_on_stdin(digits_bundle: Path, folder: Path, content: bytes, said: str) -> None:
    """One message, exit code 2, nothing on stdout."""
    assert_refused(through_stdin(digits_bundle, content, folder), said)


def test_hidden_folders_and_links_to_folders_are_left_out(digits_bundle: Path, folder: Path) -> None:
    """Thumbnails and caches are not what was asked for, and a link may lead back."""
    (folder / "sub" / "deep").rename(folder / "sub" / ".deep")
    (folder / "sub" / "again").symlink_to(folder)
    assert named(run_in_process("predict", digits_bundle, "sub", cwd=folder)) == ["sub/c.png"]


def test_a_reader_who_leaves_early_is_no_error(digits_bundle: Path, folder: Path) -> None:
    """`| head -1` over more pictures than a pipe holds: no traceback, no message, and the work ends."""
    paths = "".join(["a.png\n"] * 20_000)
    (folder / "list").write_text(paths)
    command = " ".join([*PREDICT, str(digits_bundle), "- < list | head -1; exit ${PIPESTATUS[0]}"])
    result = subprocess.run(
        ["bash", "-c", command],  # noqa: S607 - the system's own
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("a.png\t")


def test_an_interruption_leaves_no_traceback_and_no_half_page(digits_bundle: Path, folder: Path) -> None:
    """Ctrl-C while more paths are awaited: exit code 130, one word, and no gallery or part of one."""
    command = [*PREDICT, str(digits_bundle), "-", "--gallery", "page.html", "--verbose"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        # A shell lets its background jobs ignore Ctrl-C, and what they start inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one call, before exec
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"a.png\n")
        process.stdin.flush()
        assert b"plan: " in process.stderr.readline()  # loaded
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.strip() == b"Interrupted."
    assert not [path for path in folder.iterdir() if "page.html" in path.name]


_AT_ONCE = """
import torchstone_runtime.cli.progress_line as line
line._FIRST_AFTER = line._EVERY = 0.0
from torchstone_runtime.cli.main import main
main()
"""


def test_progress_is_shown_on_a_terminal_only(digits_bundle: Path, folder: Path) -> None:
    """With stderr on a terminal and the results elsewhere; results themselves are never mixed with it."""
    screen, end = pty.openpty()
    try:
        command = [sys.executable, "-c", _AT_ONCE, "predict", str(digits_bundle), "sub"]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, cwd=folder, check=True)
        os.write(end, b"END")
        shown = b""
        while not shown.endswith(b"END"):
            shown += os.read(screen, 4096)
    finally:
        os.close(end)
        os.close(screen)
    assert b"classifying: 1 of 2 pictures" in shown
    assert result.stdout.count(b"\n") == 2
    assert run_torchstone("predict", digits_bundle, "sub", cwd=folder).stderr == ""
