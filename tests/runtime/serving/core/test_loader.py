"""Loading beside what serves: it fails, or has no end, and hurts nobody."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from torchstone_runtime.errors import BundleError
from torchstone_runtime.serving.core.loader import Loader
from torchstone_runtime.system.load_deadline import VARIABLE, load_deadline


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a test, for 30 seconds at most."""
    asyncio.run(asyncio.wait_for(work, 30))


async def until_none_is_left(loader: Loader) -> None:
    """Wait until all loads that were given up have ended."""
    while loader.left:  # noqa: ASYNC110 - a count, no event
        await asyncio.sleep(0.01)


def test_what_has_no_end_is_given_up_and_the_next_load_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder on a network that hangs, for one; when it comes back, nothing is left of the load."""
    monkeypatch.setenv(VARIABLE, "0.1")

    async def scene() -> None:
        loader, back = Loader(), threading.Event()
        with pytest.raises(BundleError, match=r"not loaded within 0\.3 s"):
            await loader.run(lambda: back.wait(30))
        assert loader.left == 1
        assert await loader.run(lambda: "loaded") == "loaded"
        back.set()
        await until_none_is_left(loader)

    run(scene())


def test_a_model_that_does_not_stop_is_given_up_with_what_it_was_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not after the bound of the whole load, and without an end of the process."""
    monkeypatch.setenv(VARIABLE, "0.1")

    async def scene() -> None:
        loader, back = Loader(), threading.Event()
        loader.serving = True

        def spin() -> None:
            with load_deadline("to answer its golden samples"):
                back.wait(30)

        monkeypatch.setattr("torchstone_runtime.serving.core.loader._BOUNDS", 1000)
        with pytest.raises(BundleError, match=r"longer than 0\.1 s to answer its golden samples"):
            await loader.run(spin)
        assert loader.left == 1
        back.set()
        await until_none_is_left(loader)

    run(scene())


def test_no_more_than_three_are_left_to_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each may keep a processor busy."""
    monkeypatch.setenv(VARIABLE, "0.02")

    async def scene() -> None:
        loader, back = Loader(), threading.Event()
        for _ in range(3):
            with pytest.raises(BundleError, match="not loaded within"):
                await loader.run(lambda: back.wait(30))
        with pytest.raises(BundleError, match="3 earlier loads have not ended"):
            await loader.run(lambda: "loaded")
        back.set()
        await until_none_is_left(loader)
        assert await loader.run(lambda: "loaded") == "loaded"

    run(scene())


def test_whatever_a_load_raises_is_a_torchstone_error() -> None:
    """Or the route that asked for it would answer that the server is at fault."""

    async def scene() -> None:
        with pytest.raises(BundleError, match="Loading failed: ZeroDivisionError"):
            await Loader().run(lambda: 1 // 0)

    run(scene())
