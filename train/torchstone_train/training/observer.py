"""Who watches a training without taking part in it."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torchstone_runtime.errors import OutputError

Record = dict[str, Any]
"""A line of `history.jsonl`."""


class TrainingObserver(Protocol):
    """Is told of a training's epochs."""

    def training_begins(self, history: Sequence[Record]) -> None:
        """Called once, before the first step, with the epochs that a resumed run has done already."""

    def epoch_ended(self, record: Record) -> None:
        """Called after each epoch, when its files are written."""


class Shielded:
    """Keeps a training going when an observer fails: says so once, and leaves the observer out from then on.

    Args:
        observer: observer that may fail.
        what: name of what the observer writes, for the message.
        say: function that prints a line.
    """

    def __init__(self, observer: TrainingObserver, what: str, say: Callable[[str], None]) -> None:
        self._observer: TrainingObserver | None = observer
        self._what = what
        self._say = say

    def training_begins(self, history: Sequence[Record]) -> None:
        """See `TrainingObserver`; raises OutputError alone."""
        self._tell(lambda observer: observer.training_begins(history))

    def epoch_ended(self, record: Record) -> None:
        """See `TrainingObserver`; raises OutputError alone."""
        self._tell(lambda observer: observer.epoch_ended(record))

    def _tell(self, call: Callable[[TrainingObserver], None]) -> None:
        observer = self._observer
        if observer is not None and not shielded(lambda: call(observer), self._what, self._say):
            self._observer = None


def shielded(action: Callable[[], None], what: str, say: Callable[[str], None]) -> bool:
    """Do something that a run can do without; return whether it succeeded.

    A failure is said on one line, but for a file that cannot be written: the next one could not be either.

    Raises:
        OutputError: the place can't be written, or the disk is full.
    """
    try:
        action()
    except OutputError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a picture must not lose the run
        say(f"left out {what}: {type(error).__name__}: {' '.join(str(error).split())}")
        return False
    return True
