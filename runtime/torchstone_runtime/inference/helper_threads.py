"""Threads that help with a call: started when first needed, again after a fork, and ended for good by `close`."""

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class WorkerPool:
    """A thread pool that outlives a fork.

    A process made by `os.fork` has only the thread that forked: a pool copied from its parent waits forever for
    threads that are not there. This one starts new threads in the child when they are first needed.

    Args:
        threads: number of threads; none if 0.
        name: beginning of the threads' names.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = threads
        self._name = name
        self._closed = False
        # A lock that one thread may take twice: a garbage collection while it holds it may close the pool.
        self._lock = threading.RLock()
        self._executor: ThreadPoolExecutor | None = None
        _pools.add(self)

    def submit(self, work: Callable[[], None], count: int) -> list["Future[None]"]:
        """Start `work` in `count` threads; returns no futures where there are no threads, or it is closed."""
        with self._lock:
            if self._closed or self._threads == 0:
                return []
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            return [self._executor.submit(work) for _ in range(count)]

    def close(self, *, wait: bool = True) -> None:
        """End the threads.

        Args:
            wait: whether work that was started is waited for. A finalizer must not wait: a garbage collection runs it
                in any thread, one that is being started included, and ending a thread needs what starting one holds.
        """
        with self._lock:
            self._closed = True
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=wait)

    def forget_threads(self) -> None:
        """Drop the parent's threads, and its lock, which another of its threads may have held at the fork."""
        self._lock = threading.RLock()
        self._executor = None


_pools: "weakref.WeakSet[WorkerPool]" = weakref.WeakSet()


def _after_fork() -> None:
    for pool in list(_pools):
        pool.forget_threads()


if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
    os.register_at_fork(after_in_child=_after_fork)
