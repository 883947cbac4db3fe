"""A line on the terminal while something takes more than a moment: what it is, how far it has come, the time left."""

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from torchstone_runtime.cli.output import START_OF_LINE, shows_progress
from torchstone_runtime.progress import WorkProgress, watched
from torchstone_runtime.system.garbage import unsearched

_FIRST_AFTER: Final = 1.5
"""Seconds of a command that pass without a word."""
_EVERY: Final = 0.2


class ProgressLine:
    """Writes how much of a task is done, and the time left; takes the line off when the task ends.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._task = ""
        self._done = self._first = 0
        self._born = time.monotonic()
        self._started = self._shown = 0.0

    def __call__(self, news: WorkProgress) -> None:
        """See `ProgressWatcher`."""
        now = time.monotonic()
        begins = news.task != self._task or news.done <= self._done
        if begins:
            # Of a reading the first batch is read already: what it took isn't known, and is not counted.
            self._task, self._first, self._started = news.task, news.done, now
        self._done = news.done
        if news.ended:
            self.clear()
        elif news.done == 0 and now - self._born >= _FIRST_AFTER:
            # The first units of a stage may take long, and the command is already a long one.
            self._write(f"{news.task}: {news.total:,} {news.unit}" if news.total else f"{news.task} …", now)
        elif not begins and now - self._started >= _FIRST_AFTER and now - self._shown >= _EVERY:
            self._write(f"{news.task}: {self._so_far(news, now - self._started)}", now)

    def _so_far(self, news: WorkProgress, seconds: float) -> str:
        since = news.done - self._first - news.skipped
        counted = f"{news.done:,} of {news.total:,} {news.unit}" if news.total else f"{news.done:,} {news.unit}"
        speed = f", {since / seconds:,.0f} {news.unit}/s" if news.speed else ""
        left = f", {_clock((news.total - news.done) * seconds / max(1, since))} left" if news.total else ""
        return f"{counted}{speed}{left}"

    def clear(self) -> None:
        """Take the line off, if there is one."""
        if self._shown:
            self._stream.write(START_OF_LINE)
            self._stream.flush()
        self._task, self._shown = "", 0.0

    def _write(self, text: str, now: float) -> None:
        # A line that wraps could not be taken off again; its end has the time left.
        columns = shutil.get_terminal_size().columns
        shown = text if len(text) < columns else f"…{text[2 - columns :]}"
        self._stream.write(f"{START_OF_LINE}{shown}")
        self._stream.flush()
        self._shown = now


@contextmanager
def progress_shown() -> Iterator[None]:
    """Show what is done in the block, on stderr, where that is a terminal and `--quiet` was not given."""
    if not shows_progress():
        yield
        return
    line = ProgressLine(sys.stderr)
    try:
        with watched(line):
            yield
    finally:
        line.clear()


@contextmanager
def loading_shown(package: str) -> Iterator[None]:
    """Say on the terminal, while the block imports a package that takes seconds, that it is being loaded."""
    shown = shows_progress()
    if shown:
        sys.stderr.write(f"{START_OF_LINE}loading {package} …")
        sys.stderr.flush()
    try:
        with unsearched():
            yield
    finally:
        if shown:
            sys.stderr.write(START_OF_LINE)
            sys.stderr.flush()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
