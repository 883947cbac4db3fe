"""What becomes of the memory of tensors that are no longer needed."""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from torchstone_runtime.system.memory import give_back_freed_memory, memory_available

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Parameters of glibc's `mallopt`, as its <malloc.h> numbers them."""
_INITIAL: Final = 128 * 1024
"""Bytes that both have when a program starts (glibc's manual, "Malloc Tunable Parameters")."""
_ALL: Final = 2**30
_ENOUGH: Final = 8 * 2**30
"""Bytes of memory that must be available."""
_SETTINGS: Final = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep the memory of freed tensors for the next ones, instead of giving it back to the system each time.

    glibc gives large blocks back at once, and the system clears each page of the next one: of a fine-tuning on
    photographs that was up to half of the processor time (benchmarks/training/steps_of_backbones.py). The price is that
    blocks of many sizes don't fill each other's places: a third more memory at the peak. On leaving, what is free is
    given back, and glibc's own ways return. Nothing happens with another C library, where memory is short, or where
    the environment already says how it is to be kept.
    """
    available = memory_available()
    short = available is None or available < _ENOUGH
    if short or platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _SETTINGS):
        yield
        return
    libc = ctypes.CDLL(None)
    _set(libc, _ALL)
    try:
        yield
    finally:
        _set(libc, _INITIAL)
        give_back_freed_memory()


def _set(libc: ctypes.CDLL, size: int) -> None:
    for parameter in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
        libc.mallopt(parameter, size)
