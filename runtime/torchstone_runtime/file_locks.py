"""Locks on folders that end with the process; where the system has none (Windows), every lock is had."""

import sys

if sys.platform != "win32":
    import fcntl


def lock(handle: int, *, wait: bool) -> None:
    """Lock an open file or folder for this process alone.

    Args:
        handle: its descriptor; closing it ends the lock.
        wait: whether to wait for another process that has it.

    Raises:
        BlockingIOError: another process has it.
        OSError: the file system has no locks.
    """
    if sys.platform != "win32":
        fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
