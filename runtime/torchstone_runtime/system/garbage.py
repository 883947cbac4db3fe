"""Python's garbage collector in a process of our own: what a start imports stays to the end, and is not searched."""

import atexit
import gc
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

_IMPORTED: Final = 60_000
"""Containers that a command holds once all that it needs is imported: 54,000 to 63,000 (Python 3.11, NumPy 2.4, ONNX
Runtime 1.31). Up to there, the collector would search them a hundred times, and find next to nothing."""


class _Start:
    """Ends the start with the first search."""

    def __init__(self) -> None:
        self._thresholds = gc.get_threshold()
        gc.callbacks.append(self)
        gc.set_threshold(max(_IMPORTED, self._thresholds[0]), *self._thresholds[1:])

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        del info
        if phase == "stop":
            self.end()

    def end(self) -> None:
        gc.callbacks.remove(self)
        gc.set_threshold(*self._thresholds)
        gc.freeze()
        atexit.register(_let_go)


def _let_go() -> None:
    # PyTorch for NVIDIA's GPUs brings Triton, whose bindings (nanobind) name at the end of the process whatever was not
    # collected: dozens of lines on stderr. Where there is none, the last search, of a second and more, is saved.
    if "triton" in sys.modules:
        gc.unfreeze()


def start_unsearched() -> None:
    """Let the imports of a command pass without a search, which would take 7 to 10% of a short one's processor time.

    With the first search, what is there is left out of all later ones (`gc.freeze`), and they come as often as before.
    Does nothing where the collector is off. For programs alone: it changes the whole process.
    """
    if gc.isenabled() and gc.get_threshold()[0]:
        _Start()


def end_start() -> None:
    """Leave what is there now out of all searches, where `start_unsearched` was called and none has come yet.

    For what runs long: a search of all that was imported stops every thread for tens of milliseconds.
    """
    for found in [one for one in gc.callbacks if isinstance(one, _Start)]:
        found.end()


@contextmanager
def unsearched() -> Iterator[None]:
    """Import a large package in the block without searches, a sixth of the processor time of PyTorch's import.

    Where `start_unsearched` was called, the start ends with the block.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        end_start()
        gc.enable()
