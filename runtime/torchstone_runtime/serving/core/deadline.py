"""Work that nobody wants any more after a certain time."""

import asyncio
from collections.abc import Coroutine
from typing import Final, TypeVar

from torchstone_runtime.serving.core.refusals import DeadlineError

_Made = TypeVar("_Made")
_LATE: Final = "The deadline passed before the request was answered."


async def before(deadline: float | None, work: Coroutine[object, object, _Made]) -> _Made:
    """Return what is done until a time of the event loop's clock; without one, whenever it is done.

    Raises:
        DeadlineError: it took longer.
    """
    if deadline is None:
        return await work
    try:
        async with asyncio.timeout_at(deadline):
            made = await work
    except TimeoutError as error:
        raise DeadlineError(_LATE) from error
    if asyncio.get_running_loop().time() > deadline:  # it was done in time, and had to wait for the event loop
        raise DeadlineError(_LATE)
    return made
