"""An event loop whose time passes only in its sleeps, and at once: what takes minutes is tested in no time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class FakeTimeLoop(asyncio.SelectorEventLoop):
    """A loop that, instead of waiting for its next timer, sets its clock to it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]  # not in the stubs
        select: Callable[[float], Any] = selector.select

        def skip(timeout: float | None) -> Any:  # noqa: ANN401 - the selector's own type
            if timeout is None:
                raise AssertionError("The loop would wait forever: nothing is left that could happen.")
            self._now += max(timeout, 0.0)
            return select(0)

        selector.select = skip

    def time(self) -> float:
        """Return the time in seconds since the loop was made."""
        return self._now


def run_in_fake_time(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine on a loop of its own whose time is fake; it must use no threads."""
    with asyncio.Runner(loop_factory=FakeTimeLoop) as runner:
        return runner.run(work)
