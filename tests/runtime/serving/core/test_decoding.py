"""Decoding beside the model: the same pixels as in training, bounded memory, and nobody held up."""

import asyncio
import gc
import io
import sys
import threading
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.fake_time import run_in_fake_time
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.serving.core import decoding
from torchstone_runtime.serving.core.decoding import DecodingPool, MemoryGate
from torchstone_runtime.serving.core.refusals import BadPictureError

SIZES = st.integers(1, 12)


def picture(width: int, height: int, kind: str = "PNG", seed: int = 0) -> bytes:
    """Return a picture file of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def make_pool() -> Iterator[Callable[..., DecodingPool]]:
    """Make pools that are closed in the end."""
    pools: list[DecodingPool] = []

    def make(**limits: int) -> DecodingPool:
        pools.append(DecodingPool(**({"threads": 2, "large_picture": 10_000, "open_bytes": 1 << 20} | limits)))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP"])
def test_pictures_small_and_large_are_decoded_as_in_training(
    kind: str, rgb: InputSpec, make_pool: Callable[..., DecodingPool]
) -> None:
    """In their order, whichever threads they took."""
    files = [picture(*size, kind, seed) for seed, size in enumerate([(20, 30), (300, 200), (7, 7), (101, 100)])]
    found = asyncio.run(make_pool().decode(files, rgb))
    assert np.array_equal(found, np.stack([decode_image(file, rgb) for file in files]))


def test_the_first_bad_picture_is_named(rgb: InputSpec, make_pool: Callable[..., DecodingPool]) -> None:
    """By its place, and with what is wrong with it."""
    files = [picture(5, 5), b"no picture", picture(300, 200)[:5000], picture(5, 5)]
    with pytest.raises(BadPictureError, match=r"Picture 2 of 4: .*not an image in a supported format") as caught:
        asyncio.run(make_pool().decode(files, rgb))
    assert caught.value.index == 1


def test_a_large_picture_that_is_damaged_is_named_too(rgb: InputSpec, make_pool: Callable[..., DecodingPool]) -> None:
    """It is decoded on other threads."""
    with pytest.raises(BadPictureError, match="cannot be read as an image"):
        asyncio.run(make_pool().decode([picture(300, 200)[:5000]], rgb))


def test_a_picture_above_the_limit_of_pixels_is_refused_before_it_takes_memory(
    rgb: InputSpec, make_pool: Callable[..., DecodingPool]
) -> None:
    """60,000 x 60,000 pixels in a few bytes."""
    header = io.BytesIO()
    Image.new("1", (1, 1)).save(header, "PNG")
    content = bytearray(header.getvalue())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    with pytest.raises(BadPictureError, match="pixels"):
        asyncio.run(make_pool().decode([bytes(content)], rgb))


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Let large pictures be decoded only once the event is set."""
    release = threading.Event()

    def decode(file: bytes, spec: InputSpec) -> Uint8Array:
        assert release.wait(30)
        return decode_image(file, spec)

    monkeypatch.setattr(decoding, "decode_image", decode)
    yield release
    release.set()


def test_large_pictures_hold_up_no_small_one(
    held_up: threading.Event, rgb: InputSpec, make_pool: Callable[..., DecodingPool]
) -> None:
    """However many of them wait."""

    async def clients() -> None:
        pool = make_pool()
        large = [asyncio.ensure_future(pool.decode([picture(200, 100)], rgb)) for _ in range(6)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(20):
            await pool.decode([picture(9, 9)], rgb)
        assert not any(one.done() for one in large)
        held_up.set()
        await asyncio.gather(*large)

    asyncio.run(clients())


def test_pictures_of_clients_that_left_are_not_decoded(
    held_up: threading.Event, rgb: InputSpec, make_pool: Callable[..., DecodingPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that wait; what a thread has begun it ends."""
    begun = threading.Semaphore(0)
    count = 0

    def counted(file: bytes, spec: InputSpec) -> Uint8Array:
        nonlocal count
        count += 1
        begun.release()
        assert held_up.wait(30)
        return decode_image(file, spec)

    monkeypatch.setattr(decoding, "decode_image", counted)

    async def clients() -> None:
        pool = make_pool(threads=1)
        large = [asyncio.ensure_future(pool.decode([picture(200, 100)], rgb)) for _ in range(5)]
        assert await asyncio.to_thread(begun.acquire, timeout=30)
        for one in large[1:]:
            one.cancel()
        await asyncio.sleep(0.05)
        held_up.set()
        await large[0]
        await pool.decode([picture(200, 100)], rgb)

    asyncio.run(clients())
    assert count == 2


@given(
    plan=st.lists(
        st.tuples(SIZES, st.sampled_from([0.0, 0.1, 1.0]), st.none() | st.sampled_from([0.05, 0.5])), max_size=25
    ),
    limit=st.integers(1, 15),
)
@settings(deadline=None)
def test_no_more_memory_is_taken_than_may_be_unless_one_picture_does(
    plan: list[tuple[int, float, float | None]], limit: int
) -> None:
    """In the order of arrival, and all of it is given back, whoever leaves."""
    inside: list[int] = []
    entered: list[int] = []

    async def visitor(gate: MemoryGate, number: int, size: int, stay: float, patience: float | None) -> None:
        try:
            async with asyncio.timeout(patience):
                await gate.enter(size)
        except TimeoutError:
            return
        entered.append(number)
        inside.append(size)
        assert sum(inside) <= limit or len(inside) == 1
        await asyncio.sleep(stay)
        inside.remove(size)
        gate.leave(size)

    async def all_visitors() -> None:
        gate = MemoryGate(limit)
        async with asyncio.TaskGroup() as group:
            for number, (size, stay, patience) in enumerate(plan):
                group.create_task(visitor(gate, number, size, stay, patience))
        async with asyncio.timeout(1):
            await gate.enter(10 * limit)  # nothing is taken any more

    run_in_fake_time(all_visitors())
    assert entered == sorted(entered)


def test_a_picture_that_nobody_waits_for_is_let_go_before_its_turn(
    held_up: threading.Event, rgb: InputSpec, make_pool: Callable[..., DecodingPool]
) -> None:
    """Its file belongs to no request any more, whose limits would count it."""
    file = picture(200, 100)

    async def clients() -> None:
        pool = make_pool(threads=1)
        first = asyncio.ensure_future(pool.decode([picture(200, 100, seed=1)], rgb))
        await asyncio.sleep(0.05)
        waiting = asyncio.ensure_future(pool.decode([file], rgb))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        del waiting
        gc.collect()
        assert sys.getrefcount(file) == before
        held_up.set()
        await first

    before = sys.getrefcount(file)
    asyncio.run(clients())
