"""The line on the terminal while something takes long."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import torchstone_runtime
from helpers.support import write_image_tree
from torchstone_runtime.benchmark.bench import measure_steady_state
from torchstone_runtime.benchmark.timing import compare
from torchstone_runtime.bundle.builtin import builtin_names
from torchstone_runtime.cli.output import START_OF_LINE, tell
from torchstone_runtime.cli.progress_line import ProgressLine, loading_shown, progress_shown
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.evaluate import evaluate
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.progress import WorkProgress, stage, tell_read, watched


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the progress sees, in seconds."""
    now = [0.0]
    monkeypatch.setattr("torchstone_runtime.cli.progress_line.time.monotonic", lambda: now[0])
    return now


def test_it_says_how_many_and_how_long(clock: list[float]) -> None:
    """After a moment, with the time left by the pace so far; the line goes at the end."""
    stream = io.StringIO()
    with watched(ProgressLine(stream)):
        for seconds, done in ((0, 0), (1, 1000), (10, 10_000)):
            clock[0] = seconds
            tell_read("train", done, 100_000)
        assert stream.getvalue() == "\r\x1b[Kreading  train: 10,000 of 100,000 images, 1:30 left"
        tell_read("train", 100_000, 100_000)
    assert stream.getvalue().endswith("left\r\x1b[K")


def test_a_short_reading_says_nothing(clock: list[float]) -> None:
    """Most are."""
    stream = io.StringIO()
    with watched(ProgressLine(stream)):
        for done in range(0, 1001, 100):
            clock[0] += 0.1
            tell_read("test", done, 1000)
    assert stream.getvalue() == ""


def test_the_line_is_not_written_more_often_than_it_is_read(clock: list[float]) -> None:
    """Five times a second at most."""
    stream = io.StringIO()
    with watched(ProgressLine(stream)):
        for done in range(1000):
            clock[0] += 0.01
            tell_read("test", done, 100_000)
    assert stream.getvalue().count("reading") < 5 * 9


def test_a_stage_of_a_long_command_is_shown_from_its_beginning(clock: list[float]) -> None:
    """Its first images may take as long as others' thousands."""
    stream = io.StringIO()
    line = ProgressLine(stream)
    clock[0] = 5.0
    with watched(line), stage("PyTorch in float64, test", 300) as done:
        assert stream.getvalue() == "\r\x1b[KPyTorch in float64, test: 300 images"
        clock[0] += 10
        done(100)
        assert stream.getvalue().endswith("\r\x1b[KPyTorch in float64, test: 100 of 300 images, 0:20 left")
    assert stream.getvalue().endswith("left\r\x1b[K")


def test_speed_and_time_left_are_those_of_what_is_done_now(clock: list[float]) -> None:
    """Parts that were there before are counted, and make nothing look faster."""
    stream = io.StringIO()
    with watched(ProgressLine(stream)), stage("scoring", 1000, speed=True) as done:
        done.skip(500)
        clock[0] += 10
        done(100)
        assert stream.getvalue() == "\r\x1b[Kscoring: 600 of 1,000 images, 10 images/s, 0:40 left"


def test_a_stage_whose_length_is_not_known_says_how_far_it_is(clock: list[float]) -> None:
    """Archives are counted as they are read."""
    stream = io.StringIO()
    with watched(ProgressLine(stream)), stage("scoring", 0, speed=True) as done:
        clock[0] += 10
        done(100)
        assert stream.getvalue() == "\r\x1b[Kscoring: 100 images, 10 images/s"


def test_a_stage_of_unknown_length_is_named(clock: list[float]) -> None:
    """An exporter does not say how far it is."""
    stream = io.StringIO()
    line = ProgressLine(stream)
    clock[0] = 5.0
    with watched(line), stage("exporting to ONNX"):
        assert stream.getvalue() == "\r\x1b[Kexporting to ONNX …"
    assert stream.getvalue().endswith("…\r\x1b[K")


def test_the_stages_of_a_quick_command_say_nothing(clock: list[float]) -> None:
    """Lines that come and go at once would only flicker."""
    stream = io.StringIO()
    with watched(ProgressLine(stream)), stage("exporting to ONNX"), stage("fp32, test", 3) as done:
        clock[0] = 0.5
        done(3)
    assert stream.getvalue() == ""


def test_a_stage_in_another_is_told_with_it() -> None:
    """And an error ends both."""
    told: list[tuple[str, int, bool]] = []

    def interrupted() -> None:
        with stage("making int8"), stage("running, test", 10) as done:
            done(4)
            raise ValueError("stopped")

    with (
        watched(lambda news: told.append((news.task, news.done, news.ended))),
        pytest.raises(ValueError, match="stopped"),
    ):
        interrupted()
    inner = "making int8: running, test"
    assert told == [
        ("making int8", 0, False),
        (inner, 0, False),
        (inner, 4, False),
        (inner, 4, True),
        ("making int8", 0, True),
    ]


def test_what_a_counting_stage_reads_is_not_told_beside() -> None:
    """Two counts on one line would take turns."""
    told: list[str] = []
    with watched(lambda news: told.append(news.task)), stage("fp32, test", 10):
        tell_read("test", 10, 10)
    assert set(told) == {"fp32, test"}


def test_a_folder_tells_of_its_reading(tmp_path: Path, gray: InputSpec) -> None:
    """The fingerprint's pass as well as any other; nobody is told outside the block."""
    split = load_folder(write_image_tree(tmp_path, {"a": 3, "b": 3}), "whole", gray)
    told: list[WorkProgress] = []
    with watched(told.append):
        list(split.batches(4))
        with watched(None):
            list(split.batches(4))
    list(split.batches(4))
    assert told == [WorkProgress("reading  whole", 4, 6), WorkProgress("reading  whole", 6, 6, ended=True)]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_terminal_sees_the_time_left_unless_quiet(
    monkeypatch: pytest.MonkeyPatch, clock: list[float], quiet: bool
) -> None:
    """A real one, of the kernel."""
    master, slave = os.openpty()
    monkeypatch.setattr("torchstone_runtime.cli.output.is_quiet", lambda: quiet)
    with open(master, "rb", buffering=0) as seen, open(slave, "w") as terminal:  # noqa: PTH123 - descriptors
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress_shown(), stage("measuring", 10, "rounds") as done:
            for clock[0] in (2.0, 4.0):
                done(1)
        # What a terminal is sent arrives a little later: on a busy machine the end is not there yet.
        terminal.write("END")
        terminal.flush()
        written = b""
        while not written.endswith(b"END"):
            written += seen.read(4096)
    assert (b"measuring: 2 of 10 rounds, 0:16 left" in written) is not quiet
    assert (written != b"END") is not quiet


def test_a_benchmark_tells_of_its_rounds() -> None:
    """They are the longest part of it."""
    told: list[WorkProgress] = []
    with Classifier.load(builtin_names()[0]) as classifier, watched(told.append):
        measure_steady_state([classifier], [1], rounds=6, seconds=0.001)
    assert [news.done for news in told] == [0, 1, 2, 3, 4, 5, 6, 6]
    assert {(news.task, news.total, news.unit) for news in told} == {("measuring the steady state", 6, "rounds")}


def test_the_line_is_no_wider_than_the_terminal(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that wraps can't be taken off again; the time left stays."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = io.StringIO()
    with watched(ProgressLine(stream)):
        for seconds in (0, 1, 10):
            clock[0] = seconds
            tell_read("a split with a long name", seconds * 10, 100_000)

    shown = stream.getvalue().removeprefix("\r\x1b[K")
    assert len(shown) < 40
    assert shown.endswith(" left")


def test_a_note_takes_the_line_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would go on behind the progress else; in a pipe nothing is written for it."""
    terminal, pipe = io.StringIO(), io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    for stream in (terminal, pipe):
        monkeypatch.setattr(sys, "stderr", stream)
        tell("note")

    assert terminal.getvalue().endswith("\r\x1b[Knote\n")
    assert pipe.getvalue() == "note\n"


def test_no_command_draws_a_bar_of_its_own() -> None:
    """A bar of click's stays on the terminal at its end; a stage does not."""
    package = Path(torchstone_runtime.__file__).parent
    assert [str(path) for path in package.rglob("*.py") if "progressbar" in path.read_text(encoding="utf-8")] == []


def test_an_evaluation_tells_how_many_images_are_classified() -> None:
    """Of arrays too, which are not read from files."""
    told = list[WorkProgress]()
    with Classifier.load(builtin_names()[0]) as classifier:
        images = np.zeros((5, 1, 28, 28), dtype=np.uint8)
        labels = np.arange(5, dtype=np.int64)
        split = Split("test", ArrayStore(images), labels, classifier.class_names, [str(index) for index in range(5)])
        with watched(told.append):
            evaluate(classifier, split)

    assert [(news.task, news.done, news.total) for news in told if not news.ended][-1] == ("classifying test", 5, 5)


def test_a_comparison_of_speeds_tells_of_its_rounds() -> None:
    """Of `compare`, which was silent for 16 seconds."""
    told = list[WorkProgress]()
    with watched(told.append):
        compare(lambda: None, lambda: None, rounds=6, seconds=0.001)

    assert told[-1].done == told[-1].total == 6


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_sees_what_is_being_loaded(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    """And nothing of it afterwards; a log never has it."""
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)

    with loading_shown("PyTorch"):
        shown = stream.getvalue()

    assert shown.endswith("loading PyTorch …") is terminal
    assert stream.getvalue() == (f"{shown}{START_OF_LINE}" if terminal else "")
