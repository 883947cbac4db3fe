"""Loading on a thread of its own, while the event loop goes on serving."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from torchstone_runtime.errors import BundleError, TorchstoneError, first_line

_Made = TypeVar("_Made")


class Loader:
    """One thread, so that one thing at a time is loaded and the requests keep the processors."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="torchstone-load")

    async def run(self, work: Callable[[], _Made]) -> _Made:
        """Return what `work` makes.

        Raises:
            TorchstoneError: it failed; whatever it raised, what serves must be able to go on.
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TorchstoneError:
            raise
        except Exception as error:
            raise BundleError(f"Loading failed: {type(error).__name__}: {first_line(error)}") from error

    def close(self) -> None:
        """End the thread once it has done what it is at."""
        self._thread.shutdown(wait=False, cancel_futures=True)
