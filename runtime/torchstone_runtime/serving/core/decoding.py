"""Picture files to pixels on threads of their own, so that a large picture holds up nobody."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, TypeVar

import numpy as np
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import check_size, decode_image, read_picture, to_pixels
from torchstone_runtime.images.geometry import Placement
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.serving.core.refusals import BadPictureError

_Made = TypeVar("_Made")

_BYTES_PER_PIXEL: Final = 8
"""A picture of 32 bits a pixel, and once more what is made of it."""


class _Large:
    """A picture that is not decoded among the small ones: its pixels, or those of what is made on the way."""

    def __init__(self, pixels: int) -> None:
        self.bytes = pixels * _BYTES_PER_PIXEL


class MemoryGate:
    """Lets pictures be decoded as long as they fit into the memory together, in their order; one alone always may.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        """Wait for room for `size` bytes, to be given back with `leave`."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((size, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(size)
            else:
                self._admit()
            raise

    def leave(self, size: int) -> None:
        """Give room back."""
        self._used -= size
        self._admit()

    def _admit(self) -> None:
        while self._queue:
            size, turn = self._queue[0]
            if not turn.done():
                if self._used and self._used + size > self._limit:
                    return
                self._used += size
                turn.set_result(None)
            self._queue.popleft()


class DecodingPool:
    """Threads that decode pictures exactly as in training.

    Small pictures and large ones have `threads` threads each: the system shares the processors among them, so that
    a small picture never waits for a large one to end.

    Args:
        threads: pictures of either kind decoded at once.
        large_picture: pixels from which a picture is large.
        open_bytes: memory that large pictures may take together while they are decoded.
    """

    def __init__(self, threads: int, large_picture: int, open_bytes: int) -> None:
        self._small = ThreadPoolExecutor(threads, thread_name_prefix="torchstone-decode")
        self._large = ThreadPoolExecutor(threads, thread_name_prefix="torchstone-decode-large")
        self._large_picture = large_picture
        self._gate = MemoryGate(open_bytes)

    async def decode(self, files: Sequence[bytes], spec: InputSpec) -> Uint8Array:
        """Decode the pictures of a request; where the task is cancelled, those not begun are skipped.

        Returns:
            uint8 [N, C, H, W].

        Raises:
            BadPictureError: one can't be decoded; of several, the first.
        """
        found = await asyncio.gather(*(self._decode(file, spec) for file in files))
        for index, pixels in enumerate(found):
            if isinstance(pixels, ImageError):
                which = f"Picture {index + 1} of {len(files)}: " if len(files) > 1 else ""
                raise BadPictureError(f"{which}{pixels.problem}", pixels.remedy, index)
        return np.stack([pixels for pixels in found if not isinstance(pixels, ImageError)])

    async def _decode(self, file: bytes, spec: InputSpec) -> Uint8Array | ImageError:
        held = [file]
        try:
            return await self._decode_held(held, spec)
        finally:
            held.clear()  # where nobody waits any more, the threads keep what they were given until its turn

    async def _decode_held(self, held: list[bytes], spec: InputSpec) -> Uint8Array | ImageError:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._small, _decode_small, held, spec, self._large_picture)
        if not isinstance(found, _Large):
            return found
        await self._gate.enter(found.bytes)
        # The room is given back when the thread is done with the picture, not when nobody waits for it any more.
        work = self._large.submit(_or_error, lambda: decode_image(held[0], spec))
        work.add_done_callback(lambda _: _tell(loop, self._gate, found.bytes))
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """End the threads once they have done what they are at."""
        self._small.shutdown(wait=False, cancel_futures=True)
        self._large.shutdown(wait=False, cancel_futures=True)


def _tell(loop: asyncio.AbstractEventLoop, gate: MemoryGate, size: int) -> None:
    with suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(gate.leave, size)


def _decode_small(held: list[bytes], spec: InputSpec, large_picture: int) -> Uint8Array | ImageError | _Large:
    def convert(image: Image.Image, name: str) -> Uint8Array | _Large:
        check_size(image, name)
        pixels = _pixels_on_the_way(image, spec)
        return (
            to_pixels(image, spec, name, reduced=spec.decode == "reduced") if pixels < large_picture else _Large(pixels)
        )

    return _or_error(lambda: read_picture(held[0], convert))


def _pixels_on_the_way(image: Image.Image, spec: InputSpec) -> int:
    place = Placement.of(image.height, image.width, spec)
    return max(image.width * image.height, place.width * image.height, place.width * place.height)


def _or_error(work: Callable[[], _Made]) -> _Made | ImageError:
    try:
        return work()
    except ImageError as error:
        return error
