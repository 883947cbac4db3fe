"""Locks on folders that end with the process; where the system has none (Windows), every lock is had."""

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl


def opens_folders() -> bool:
    """Return whether the system can open a folder, to lock or to flush it; Windows can't."""
    return hasattr(os, "O_DIRECTORY")


def open_folder(path: Path) -> int | None:
    """Return the descriptor of a folder, not of a link to one; None where the system can't open folders.

    Raises:
        OSError: it is missing, no folder, a link, or may not be read.
    """
    if sys.platform != "win32" and opens_folders():
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    return None


def close_folder(handle: int | None) -> None:
    """Close what `open_folder` gave, which ends its lock."""
    if handle is not None:
        os.close(handle)


def lock(handle: int | None, *, wait: bool) -> None:
    """Lock an open file or folder for this process alone.

    Args:
        handle: its descriptor; closing it ends the lock. Nothing is locked if None.
        wait: whether to wait for another process that has it.

    Raises:
        BlockingIOError: another process has it.
        OSError: the file system has no locks.
    """
    if sys.platform != "win32" and handle is not None:
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
