"""A line on the terminal while a folder of pictures is read, where that takes more than a moment."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from torchstone_runtime.cli.output import shows_progress
from torchstone_runtime.data.reading import watched_reading

_FIRST_AFTER: Final = 1.5
"""Seconds of a reading that pass without a word."""
_EVERY: Final = 0.2
_START_OF_LINE: Final = "\r\x1b[K"
"""Takes what stands on the terminal's line off it (ECMA-48)."""


class ReadingProgress:
    """Writes how many images of a split have been read, and the time left; takes the line off at the end.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._name = ""
        self._done = self._first = 0
        self._started = self._shown = 0.0

    def __call__(self, name: str, done: int, total: int) -> None:
        """See `ReadingWatcher`."""
        now = time.monotonic()
        if name != self._name or done <= self._done:
            # The first batch is read already: what it took isn't known, and is not counted.
            self._name, self._first, self._started, self._shown = name, done, now, 0.0
        self._done = done
        if done >= total:
            self.clear()
        elif now - self._started >= _FIRST_AFTER and now - self._shown >= _EVERY:
            left = (total - done) * (now - self._started) / max(1, done - self._first)
            self._stream.write(f"{_START_OF_LINE}reading  {name}: {done:,} of {total:,} images, {_clock(left)} left")
            self._stream.flush()
            self._shown = now

    def clear(self) -> None:
        """Take the line off, if there is one."""
        if self._shown:
            self._stream.write(_START_OF_LINE)
            self._stream.flush()
        self._name, self._shown = "", 0.0


@contextmanager
def reading_shown() -> Iterator[None]:
    """Show what is read in the block, on stderr, where that is a terminal and `--quiet` was not given."""
    if not shows_progress():
        yield
        return
    progress = ReadingProgress(sys.stderr)
    try:
        with watched_reading(progress):
            yield
    finally:
        progress.clear()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
