"""The line on the terminal while pictures are read."""

import io
from pathlib import Path

import pytest

from helpers.support import write_image_tree
from torchstone_runtime.cli.reading_progress import ReadingProgress
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.reading import watched_reading
from torchstone_runtime.images.input_spec import InputSpec


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the progress sees, in seconds."""
    now = [0.0]
    monkeypatch.setattr("torchstone_runtime.cli.reading_progress.time.monotonic", lambda: now[0])
    return now


def test_it_says_how_many_and_how_long(clock: list[float]) -> None:
    """After a moment, with the time left by the pace so far; the line goes at the end."""
    stream = io.StringIO()
    progress = ReadingProgress(stream)
    for seconds, done in ((0, 0), (1, 1000), (10, 10_000)):
        clock[0] = seconds
        progress("train", done, 100_000)
    assert stream.getvalue() == "\r\x1b[Kreading  train: 10,000 of 100,000 images, 1:30 left"
    progress("train", 100_000, 100_000)
    assert stream.getvalue().endswith("left\r\x1b[K")


def test_a_short_reading_says_nothing(clock: list[float]) -> None:
    """Most are."""
    stream = io.StringIO()
    progress = ReadingProgress(stream)
    for done in range(0, 1001, 100):
        clock[0] += 0.1
        progress("test", done, 1000)
    assert stream.getvalue() == ""


def test_the_line_is_not_written_more_often_than_it_is_read(clock: list[float]) -> None:
    """Five times a second at most."""
    stream = io.StringIO()
    progress = ReadingProgress(stream)
    for done in range(1000):
        clock[0] += 0.01
        progress("test", done, 100_000)
    assert stream.getvalue().count("reading") < 5 * 9


def test_a_folder_tells_of_its_reading(tmp_path: Path, gray: InputSpec) -> None:
    """The fingerprint's pass as well as any other; nobody is told outside the block."""
    split = load_folder(write_image_tree(tmp_path, {"a": 3, "b": 3}), "whole", gray)
    told: list[tuple[str, int, int]] = []
    with watched_reading(lambda *news: told.append(news)):
        list(split.batches(4))
        with watched_reading(None):
            list(split.batches(4))
    list(split.batches(4))
    assert told == [("whole", 4, 6), ("whole", 6, 6)]
