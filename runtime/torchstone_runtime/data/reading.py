"""Who is told how far the reading of a split has come; nobody, unless a command asks for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

ReadingWatcher = Callable[[str, int, int], None]
"""Is called with the split's name, the number of images read, and that of all."""

_WATCHER: Final[ContextVar[ReadingWatcher | None]] = ContextVar("torchstone_reading_watcher", default=None)


@contextmanager
def watched_reading(watcher: ReadingWatcher | None) -> Iterator[None]:
    """Tell `watcher` of what this thread reads in the block; None for nobody, where a caller already shows more."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def tell_read(name: str, done: int, total: int) -> None:
    """Tell the watcher, if there is one, that `done` of `total` images of a split have been read."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(name, done, total)
