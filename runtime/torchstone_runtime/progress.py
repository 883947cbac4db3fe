"""How far long work has come, told to whoever watches: nobody, unless a command asks for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class WorkProgress:
    """What is being done, and how much of it is.

    Attributes:
        task: words for a person, such as `reading  test`.
        done: number of units that are done; total: that of all, 0 where it is not known.
        unit: name of the things that are counted, in the plural.
        ended: whether this is the last news of the task.
        speed: whether units a second are of interest.
        skipped: number of the units that were done before, and say nothing of the speed.
    """

    task: str
    done: int
    total: int
    unit: str = "images"
    ended: bool = False
    speed: bool = False
    skipped: int = 0


ProgressWatcher = Callable[[WorkProgress], None]
"""Is called with each news of what the thread does that set it."""


@dataclass(frozen=True, slots=True)
class _Watch:
    watcher: ProgressWatcher
    prefix: str = ""
    counts: bool = False


_WATCH: Final[ContextVar[_Watch | None]] = ContextVar("torchstone_progress", default=None)


@contextmanager
def watched(watcher: ProgressWatcher | None) -> Iterator[None]:
    """Tell `watcher` of what this thread does in the block; None for nobody, where a caller already shows more."""
    with _set(None if watcher is None else _Watch(watcher)):
        yield


class Advance:
    """Told of further units of a stage that are done.

    Args:
        watcher: who is told; None for nobody.
        news: news of the beginning.
    """

    def __init__(self, watcher: ProgressWatcher | None, news: WorkProgress) -> None:
        self._watcher = watcher
        self._news = news

    def __call__(self, count: int) -> None:
        """Count units that were done now."""
        self._tell(replace(self._news, done=self._news.done + count))

    def skip(self, count: int) -> None:
        """Count units that were done before."""
        news = self._news
        self._tell(replace(news, done=news.done + count, skipped=news.skipped + count))

    def end(self) -> None:
        """Tell that the stage ended."""
        self._tell(replace(self._news, ended=True))

    def _tell(self, news: WorkProgress) -> None:
        self._news = news
        if self._watcher is not None:
            self._watcher(news)


@contextmanager
def stage(task: str, total: int = 0, unit: str = "images", *, speed: bool = False) -> Iterator[Advance]:
    """Tell of a piece of work: that it begins, how far it has come, and that it ended.

    A stage within another is told with the other's task before its own. What is read within one that counts is not
    told beside.

    Args:
        task: words for a person.
        total: number of units of work; 0 where it is not known.
        unit: name of the things that are counted, in the plural.
        speed: whether units a second are of interest.

    Yields:
        What is called with the number of further units that are done.
    """
    watch = _WATCH.get()
    if watch is None:
        yield Advance(None, WorkProgress(task, 0, total))
        return
    named = f"{watch.prefix}{task}"
    advance = Advance(watch.watcher, WorkProgress(named, 0, total, unit, speed=speed))
    advance(0)
    try:
        with _set(_Watch(watch.watcher, f"{named}: ", counts=total > 0)):
            yield advance
    finally:
        advance.end()


def tell_read(name: str, done: int, total: int) -> None:
    """Tell the watcher, if there is one, that `done` of `total` images of a split have been read."""
    watch = _WATCH.get()
    if watch is not None and not watch.counts:
        watch.watcher(WorkProgress(f"{watch.prefix}reading  {name}", done, total, ended=done >= total))


@contextmanager
def _set(watch: _Watch | None) -> Iterator[None]:
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)
