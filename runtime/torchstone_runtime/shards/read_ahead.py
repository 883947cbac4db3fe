"""Work on what comes next, while what came is used; in order, and never more than a few items ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def mapped_ahead(
    items: Iterable[_Item], function: Callable[[_Item], _Result], threads: int, window: int | None = None
) -> Iterator[tuple[_Item, _Result]]:
    """Yield each item with what a function makes of it, in order.

    Args:
        items: items, any number of them; asked for in this thread.
        function: function that is called in `threads` threads.
        threads: number of threads.
        window: number of items that are begun and not yet handed out, at most; twice the threads if None.
    """
    window = 2 * threads if window is None else window
    pool = ThreadPoolExecutor(threads, thread_name_prefix="torchstone-ahead")
    begun: deque[tuple[_Item, Future[_Result]]] = deque()
    try:
        for item in items:
            begun.append((item, pool.submit(function, item)))
            if len(begun) >= window:
                first, future = begun.popleft()
                yield first, future.result()
        while begun:
            first, future = begun.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
