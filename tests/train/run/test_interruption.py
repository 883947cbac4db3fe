import json
import os
import pty
import re
import signal
import struct
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from fcntl import ioctl
from pathlib import Path

import pytest

from helpers.fork_server import ForkedCommand
from helpers.support import run_torchstone, started_torchstone


def start(
    *arguments: str | Path, stderr: Path | None = None, pictures: bool = False
) -> AbstractContextManager[tuple[ForkedCommand, Iterator[str]]]:
    """Start a training without waiting for it."""
    return started_torchstone("train", "cnn3", *arguments, stderr=stderr, pictures=pictures)


def wait_for_epoch(log: Iterator[str], epoch: int) -> None:
    """Read the log until the epoch's line."""
    for line in log:
        if re.match(rf" +{epoch}/\d", line):
            return
    raise AssertionError("the training ended before")


def interrupted(tiny_npz: Path, run: Path, signal_number: int, *, pictures: bool = False) -> tuple[int, str]:
    """Train, send a signal after the second epoch; return exit code and what was said after it."""
    arguments = ("--dataset", f"npz:{tiny_npz}", "--out", run, "--epochs", "3000", "--patience", "0")
    with start(*arguments, pictures=pictures) as (process, log):
        wait_for_epoch(log, 2)
        process.send_signal(signal_number)
        rest = "".join(log)
        return process.wait(120), rest


@pytest.fixture(scope="module")
def stopped_run(tiny_npz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that Ctrl-C ended after some epochs."""
    run = tmp_path_factory.mktemp("interrupted") / "run"
    code, log = interrupted(tiny_npz, run, signal.SIGINT, pictures=True)
    assert code == 130, log
    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_with_exit_code_130_and_no_traceback(number: int, tiny_npz: Path, tmp_path: Path) -> None:
    """Ctrl-C and a polite kill are no faults: the log says what is kept and how to go on."""
    code, log = interrupted(tiny_npz, tmp_path / "run", number)
    assert code == 130
    assert "Traceback" not in log
    assert "--resume" in log


def test_interrupted_run_is_whole(stopped_run: Path) -> None:
    """It says that it was interrupted, and has weights, figures and a report."""
    info = json.loads((stopped_run / "run.json").read_text())
    assert (info["stop_reason"], info["epochs_run"] >= 2) == ("interrupted", True)
    assert {"best.safetensors", "report.html", "figures", "tensorboard"} <= {e.name for e in stopped_run.iterdir()}


def test_interrupted_run_can_be_exported(stopped_run: Path, tmp_path: Path) -> None:
    """What was learnt until Ctrl-C can be put to use."""
    result = run_torchstone("export", stopped_run, "--out", tmp_path / "bundle")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "bundle" / "manifest.json").is_file()


def test_interrupt_in_the_first_epoch_keeps_what_was_learnt(tmp_path: Path) -> None:
    """Even before an epoch is complete there are weights, and run.json says so."""
    run = tmp_path / "run"
    # So many steps an epoch that the signal comes in its middle.
    arguments = ("--dataset", "digits", "--out", run, "--batch-size", "2")
    with start(*arguments) as (process, log):
        # Before the loop has begun a signal discards the run, which is right but not what is tested here.
        while not (run / "tensorboard").is_dir():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert "".join(log)
        process.wait(120)
    info = json.loads((run / "run.json").read_text())
    assert (process.returncode, info["stop_reason"], info["epochs_run"]) == (130, "interrupted", 0)
    assert info["metrics"]["validation"]["accuracy"] >= 0
    assert (run / "best.safetensors").is_file()
    assert (run / "report.html").is_file()


@pytest.mark.slow
def test_killed_and_resumed_ends_with_the_same_weights(tiny_npz: Path, tmp_path: Path) -> None:
    """Kill -9 at several moments, --resume each time: the very bytes of a training that was never stopped."""
    settings = ("--dataset", f"npz:{tiny_npz}", "--epochs", "24", "--patience", "0")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_torchstone("train", "cnn3", *settings, "--out", whole, pictures=False).returncode == 0
    for epoch, resume in ((2, ()), (8, ("--resume",)), (15, ("--resume",))):
        with start(*settings, "--out", killed, *resume) as (process, log):
            wait_for_epoch(log, epoch)
            process.kill()
    result = run_torchstone("train", "cnn3", *settings, "--out", killed, "--resume", pictures=False)
    assert result.returncode == 0, result.stderr
    assert (killed / "best.safetensors").read_bytes() == (whole / "best.safetensors").read_bytes()
    epochs = [[json.loads(line)["epoch"] for line in (run / "history.jsonl").open()] for run in (whole, killed)]
    assert epochs == [list(range(1, 25))] * 2


def test_finished_run_can_be_given_more_epochs(resumed_run: Path, tiny_npz: Path, tmp_path: Path) -> None:
    """--resume with more epochs goes on where the run ended, as if they had been asked for at first."""
    run = tmp_path / "run"
    arguments = ("train", "cnn3", "--dataset", f"npz:{tiny_npz}", "--epochs", "5", "--out", run)
    result = run_torchstone(*arguments, pictures=False)
    assert result.returncode == 0, result.stderr
    assert (run / "best.safetensors").read_bytes() == (resumed_run / "best.safetensors").read_bytes()


def test_resumed_run_keeps_when_it_was_started(resumed_run: Path, tiny_run: Path) -> None:
    """A run has one beginning, however often it goes on."""
    started = [json.loads((run / "run.json").read_text())["started"] for run in (tiny_run, resumed_run)]
    assert started[0] == started[1]


def test_terminal_shows_a_bar_with_speed_loss_and_time_left(tmp_path: Path) -> None:
    """On a terminal each epoch has a bar: images, remaining time, images/s and the loss."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    arguments = ("--dataset", "digits", "--epochs", "1", "--batch-size", "16", "--out", tmp_path / "run")
    # This side stays open until the training has ended: the reader would be at its end before the training opens it.
    with ThreadPoolExecutor(1) as reader, start(*arguments, stderr=Path(os.ttyname(follower))) as (process, _):
        reading = reader.submit(read_all, leader)
        process.wait(120)
        os.close(follower)
        shown = reading.result(60)
    assert re.search(r"epoch 1/1: +\d+%.*\[\d\d:\d\d<\d\d:\d\d, .* images/s, loss \d\.\d{4}\]", shown), shown[-2000:]


def read_all(terminal: int) -> str:
    """Read a pseudo-terminal until its other side is closed, which Linux reports as an error."""
    content = b""
    while True:
        try:
            content += os.read(terminal, 65536)
        except OSError:
            os.close(terminal)
            return content.decode()
