"""Loading on a thread of its own, while the event loop goes on serving."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar

from torchstone_runtime.errors import BundleError, TorchstoneError, first_line
from torchstone_runtime.system.load_deadline import VARIABLE, bound_in_seconds, own_no_end

_Made = TypeVar("_Made")

_MOST_LEFT: Final = 3
"""Loads that have no end, each of which may keep a processor busy, before no further one is begun."""
_BOUNDS: Final = 3
"""A load may take as long as three of its parts: opening, the golden samples, and all else, files that are read too."""


class Loader:
    """Loads one thing at a time. What doesn't end is left to itself: nothing can stop a thread from outside.

    Attributes:
        serving: whether what serves must go on although a load has no end; before, the command line ends the process.
        left: number of loads that were given up and have not ended.
    """

    def __init__(self) -> None:
        self.serving = False
        self.left = 0
        self._lock = asyncio.Lock()
        self._threads: list[threading.Thread] = []

    @property
    def running(self) -> bool:
        """Whether a thread is still at it, waited for or not."""
        return any(thread.is_alive() for thread in self._threads)

    async def run(self, work: Callable[[], _Made]) -> _Made:
        """Return what `work` makes.

        Raises:
            TorchstoneError: it failed, or did not end in time; whatever it raised, what serves must be able to go on.
        """
        async with self._lock:
            if self.left >= _MOST_LEFT:
                raise BundleError(f"{self.left} earlier loads have not ended.", "Restart the server.")
            return await self._run(work)

    async def _run(self, work: Callable[[], _Made]) -> _Made:
        made: asyncio.Future[_Made] = asyncio.get_running_loop().create_future()
        load = _Load(self, work, made)
        # Threads of a pool are waited for at the end of the process, which one that has no end would prevent.
        thread = threading.Thread(target=load.run, name="torchstone-load", daemon=True)
        thread.start()
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        seconds = _BOUNDS * bound_in_seconds() or None
        try:
            async with asyncio.timeout(seconds):
                return await made
        except TimeoutError as error:
            raise BundleError(
                f"The model was not loaded within {seconds:g} s.",
                f"If it is only slow, set {VARIABLE} to more seconds.",
            ) from error
        except TorchstoneError:
            raise
        except Exception as error:
            raise BundleError(f"Loading failed: {type(error).__name__}: {first_line(error)}") from error
        finally:
            self.left += not load.ended


class _Load(Generic[_Made]):
    """One load; `ended` says whether its thread came to its end while it was waited for."""

    def __init__(self, loader: Loader, work: Callable[[], _Made], made: "asyncio.Future[_Made]") -> None:
        self.ended = False
        self._loader, self._work, self._made = loader, work, made
        self._loop = asyncio.get_running_loop()

    def run(self) -> None:
        """Do the work, and tell the event loop what came of it."""
        with own_no_end(self._give_up) if self._loader.serving else nullcontext():
            try:
                made = self._work()
            except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
                self._tell(partial(self._end, self._made.set_exception, error))
            else:
                self._tell(partial(self._end, self._made.set_result, made))

    def _give_up(self, error: BundleError) -> None:
        self._tell(lambda: None if self._made.done() else self._made.set_exception(error))

    def _end(self, tell: Callable[[Any], None], what: object) -> None:
        if self._made.done():  # given up before
            self._loader.left -= 1
        else:
            self.ended = True
            tell(what)

    def _tell(self, act: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(act)
