"""A process that hangs, dies, or never tidies up: whoever waits for it comes back with one message."""

import os
import time
from multiprocessing.connection import Connection

import pytest

from torchstone_runtime.errors import DataError, RemoteError
from torchstone_runtime.scoring import watched_process
from torchstone_runtime.scoring.watched_process import ProcessWork, WatchedProcess

MUCH = bytes(10 << 20)
"""More than a pipe holds."""


def answer(talk: Connection, signs: Connection) -> None:
    """Give signs of life, and the double of a number."""
    number = talk.recv()
    for _ in range(7):  # for longer than silence is allowed
        signs.send("")
        time.sleep(1)
    talk.send(2 * number)


def hang(_talk: Connection, _signs: Connection) -> None:
    """Give no sign of life."""
    time.sleep(600)


def die(_talk: Connection, _signs: Connection) -> None:
    """End without a word."""
    os._exit(3)


def die_telling(_talk: Connection, signs: Connection) -> None:
    """Say why, and end."""
    signs.send("")
    signs.send(DataError("The disk is gone."))
    os._exit(1)


def never_tidy_up(talk: Connection, signs: Connection) -> None:
    """Do the work, and not end."""
    talk.send("done")
    while True:
        signs.send("")
        time.sleep(0.1)


def watched(work: ProcessWork, silence: int = 30) -> WatchedProcess:
    """Return a process that does something of the above."""
    return WatchedProcess(work, "The other process", silence=silence, remedy="Try again.")


def test_a_process_that_gives_signs_may_take_its_time() -> None:
    """It is longer busy than it may be silent."""
    with watched(answer, silence=5) as process:
        process.send(21)
        assert process.receive() == 42


def test_a_silent_process_is_killed() -> None:
    """Whoever waits for its answer is told."""
    with (
        pytest.raises(RemoteError, match=r"^The other process did not respond for 2 seconds\.\nTry again\.$"),
        watched(hang, silence=2) as process,
    ):
        process.receive()


def test_a_process_that_does_not_listen_is_killed() -> None:
    """Also whoever speaks to it comes back."""
    with pytest.raises(RemoteError, match="did not respond"), watched(hang, silence=2) as process:
        process.send(MUCH)


def test_a_process_that_died_is_told() -> None:
    """By whoever waits for it, and by whoever speaks to it."""
    with watched(die) as process:
        with pytest.raises(RemoteError, match=r"^The other process died \(exit code 3\)\.\nTry again\.$"):
            process.receive()
        with pytest.raises(RemoteError, match="exit code 3"):
            process.send(MUCH)


def test_the_last_words_of_a_process_are_its_error() -> None:
    """What it says before it ends is known better than that it ended."""
    with pytest.raises(DataError, match="The disk is gone"), watched(die_telling) as process:
        process.receive()


def test_a_process_that_does_not_tidy_up_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it answered counts."""
    monkeypatch.setattr(watched_process, "_LEAVE_SECONDS", 1)
    with watched(never_tidy_up) as process:
        assert process.receive() == "done"


def test_an_interrupted_block_ends_the_process_at_once() -> None:
    """It is not waited for."""
    with pytest.raises(KeyboardInterrupt), watched(never_tidy_up):
        raise KeyboardInterrupt
