"""Laws of the batcher, in fake time: each request once, in order, in bounds, and never after its deadline."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.fake_time import run_in_fake_time
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.serving.core.batcher import Batcher, Computed, Ran
from torchstone_runtime.serving.core.refusals import DeadlineError

ROUNDING = 1e-9
"""Seconds: a sum of times that ends where another one begins may lie beyond it by its rounding."""


@dataclass(frozen=True)
class Arrival:
    """A request: seconds since the one before, images, deadline and the client's patience in seconds, or None."""

    gap: float
    images: int
    deadline: float | None = None
    patience: float | None = None


@dataclass
class Trace:
    """What happened: batches as (time, requests, images), and how each request ended, at what time."""

    batches: list[tuple[float, list[int], int]] = field(default_factory=list)
    ends: dict[int, tuple[float, str]] = field(default_factory=dict)
    arrived: dict[int, float] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)

    @property
    def computed(self) -> list[int]:
        """The requests that were computed, in the order in which workers took them."""
        return [request for _, requests, _ in self.batches for request in requests]


def pixels(request: int, images: int) -> Uint8Array:
    """Return images that tell their request (below 65,536) and their place in it."""
    made = np.zeros((images, 1, 1, 3), dtype=np.uint8)
    made[:, 0, 0, 0], made[:, 0, 0, 1] = divmod(request, 256)
    made[:, 0, 0, 2] = np.arange(images)
    return made


def outputs(images: Uint8Array) -> Float32Array:
    """Return what the fake model gives for such images: their three bytes."""
    return images[:, 0, 0, :].astype(np.float32)


def simulate(
    arrivals: Sequence[Arrival],
    *,
    durations: Sequence[float],
    max_batch: int,
    max_delay: float,
    workers: int,
    share: int | None = None,
) -> Trace:
    """Run a plan of arrivals through a batcher whose batches take the given durations in turn."""
    trace = Trace()

    async def compute(requests: Sequence[Uint8Array]) -> Computed:
        images = np.concatenate(requests)
        numbers = [int(one[0, 0, 0, 0]) * 256 + int(one[0, 0, 0, 1]) for one in requests]
        seconds = durations[len(trace.batches) % len(durations)]
        trace.batches.append((asyncio.get_running_loop().time(), numbers, len(images)))
        await asyncio.sleep(seconds)
        return Computed(outputs(images), -outputs(images), seconds)

    async def client(batcher: Batcher, number: int, arrival: Arrival) -> None:
        loop = asyncio.get_running_loop()
        trace.arrived[number] = loop.time()
        deadline = None if arrival.deadline is None else loop.time() + arrival.deadline
        sent = pixels(number, arrival.images)

        def taken() -> None:
            trace.taken[number] = trace.taken.get(number, 0) + 1

        try:
            async with asyncio.timeout(arrival.patience):
                ran = await batcher.submit(sent, deadline=deadline, taken=taken)
        except DeadlineError:
            end = "late"
        except TimeoutError:
            end = "left"
        else:
            assert np.array_equal(ran.logits, outputs(sent))
            assert np.array_equal(ran.probabilities, -outputs(sent))
            end = "answered"
        assert number not in trace.ends
        trace.ends[number] = loop.time(), end

    async def all_clients() -> None:
        batcher = Batcher(compute, max_batch=max_batch, max_delay=max_delay, workers=workers, share=share)
        async with asyncio.TaskGroup() as group:
            for number, arrival in enumerate(arrivals):
                await asyncio.sleep(arrival.gap)
                group.create_task(client(batcher, number, arrival))
        await asyncio.sleep(max_delay + sum(durations) * (len(arrivals) + 1))
        assert not batcher.busy

    run_in_fake_time(all_clients())
    return trace


gaps = st.sampled_from([0.0, 0.0, 0.001, 0.01, 0.1])
limits = st.none() | st.sampled_from([0.005, 0.03, 0.1, 1.0])
plans = st.lists(st.builds(Arrival, gaps, st.integers(1, 12), limits, limits), min_size=1, max_size=40)
durations = st.lists(st.sampled_from([0.0, 0.002, 0.02, 0.2]), min_size=1, max_size=5)
any_plan = given(
    arrivals=plans,
    durations=durations,
    max_batch=st.integers(1, 10),
    max_delay=st.sampled_from([0.0, 0.004, 0.05]),
    workers=st.integers(1, 3),
)


@any_plan
@settings(deadline=None)
def test_every_request_ends_exactly_once_and_is_taken_exactly_once(
    arrivals: list[Arrival], durations: list[float], max_batch: int, max_delay: float, workers: int
) -> None:
    """Answered with its own rows, late, or left by its client."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=max_delay, workers=workers)
    assert trace.ends.keys() == set(range(len(arrivals)))
    assert trace.taken == dict.fromkeys(range(len(arrivals)), 1)
    assert len(set(trace.computed)) == len(trace.computed)


@any_plan
@settings(deadline=None)
def test_no_batch_is_above_the_limit_unless_one_request_is(
    arrivals: list[Arrival], durations: list[float], max_batch: int, max_delay: float, workers: int
) -> None:
    """A request with more images than a batch may have runs by itself."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=max_delay, workers=workers)
    for _, requests, images in trace.batches:
        assert images <= max_batch or len(requests) == 1


@any_plan
@settings(deadline=None)
def test_requests_are_taken_in_the_order_of_their_arrival(
    arrivals: list[Arrival], durations: list[float], max_batch: int, max_delay: float, workers: int
) -> None:
    """First come, first served, whatever their sizes."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=max_delay, workers=workers)
    assert trace.computed == sorted(trace.computed)


@any_plan
@settings(deadline=None)
def test_nothing_is_answered_or_begun_after_its_deadline(
    arrivals: list[Arrival], durations: list[float], max_batch: int, max_delay: float, workers: int
) -> None:
    """Nor begun for a client that has left."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=max_delay, workers=workers)
    for number, (time, end) in trace.ends.items():
        if end == "answered":
            assert time <= trace.arrived[number] + (arrivals[number].deadline or 1e9)
    for time, requests, _ in trace.batches:
        for number in requests:
            given_up = min(arrivals[number].deadline or 1e9, arrivals[number].patience or 1e9)
            assert time <= trace.arrived[number] + given_up


@given(arrivals=plans, durations=durations, max_batch=st.integers(1, 10), workers=st.integers(1, 3))
@settings(deadline=None)
def test_without_a_delay_no_worker_is_idle_while_something_waits(
    arrivals: list[Arrival], durations: list[float], max_batch: int, workers: int
) -> None:
    """What is computed later than it came finds all workers at work until then."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=0.0, workers=workers)
    spans = [(time, time + durations[index % len(durations)]) for index, (time, _, _) in enumerate(trace.batches)]
    for time, requests, _ in trace.batches:
        for number in requests:
            came = trace.arrived[number]
            assert time == came or sum(start <= came <= end + 1e-9 for start, end in spans) >= workers


shared_plan = given(
    arrivals=plans,
    durations=durations,
    max_batch=st.integers(1, 10),
    workers=st.integers(1, 4),
    share=st.integers(1, 4),
)


@shared_plan
@settings(deadline=None)
def test_every_request_ends_once_also_where_batches_take_several_processors(
    arrivals: list[Arrival], durations: list[float], max_batch: int, workers: int, share: int
) -> None:
    """However small ones pass large ones."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=0.0, workers=workers, share=share)
    assert trace.ends.keys() == set(range(len(arrivals)))
    assert trace.taken == dict.fromkeys(range(len(arrivals)), 1)
    assert len(set(trace.computed)) == len(trace.computed)


@shared_plan
@settings(deadline=None)
def test_batches_of_several_processors_have_no_more_than_there_are(
    arrivals: list[Arrival], durations: list[float], max_batch: int, workers: int, share: int
) -> None:
    """Together, at any time; those of one processor don't count, and are as many as workers at most."""
    trace = simulate(arrivals, durations=durations, max_batch=max_batch, max_delay=0.0, workers=workers, share=share)
    ends = [start + durations[index % len(durations)] for index, (start, _, _) in enumerate(trace.batches)]
    for index, (now, _, _) in enumerate(trace.batches):
        beside = [batch for batch, end in zip(trace.batches[:index], ends, strict=False) if end > now + ROUNDING]
        processors = [min(workers, -(-images // share)) for _, _, images in (*beside, trace.batches[index])]
        assert len(processors) <= workers
        assert sum(count for count in processors if count > 1) <= workers


def test_a_small_request_passes_a_large_one_that_waits_for_another() -> None:
    """Two large ones would share the processors and both take longer; a small one waits for neither."""
    arrivals = [Arrival(0.0, 8), Arrival(0.01, 8), Arrival(0.01, 1), Arrival(0.01, 1)]
    trace = simulate(arrivals, durations=[0.2], max_batch=64, max_delay=0.0, workers=2, share=2)

    assert [(round(time, 3), requests) for time, requests, _ in trace.batches] == [(0, [0]), (0.02, [2]), (0.2, [1, 3])]


def test_what_waits_while_the_worker_is_busy_becomes_one_batch() -> None:
    """The first request is computed at once, alone."""
    arrivals = [Arrival(0.0, 1), *(Arrival(0.001, 1) for _ in range(5))]
    trace = simulate(arrivals, durations=[1.0], max_batch=64, max_delay=0.0, workers=1)
    assert [requests for _, requests, _ in trace.batches] == [[0], [1, 2, 3, 4, 5]]


def test_a_delay_gathers_requests_of_an_idle_worker() -> None:
    """Until the first has waited for as long, or the batch is full."""
    arrivals = [Arrival(0.0, 1), Arrival(0.03, 1), Arrival(0.03, 1), Arrival(1.0, 3), Arrival(0.01, 1)]
    trace = simulate(arrivals, durations=[0.001], max_batch=4, max_delay=0.05, workers=1)
    assert [requests for _, requests, _ in trace.batches] == [[0, 1], [2], [3, 4]]
    assert [round(time, 3) for time, _, _ in trace.batches] == [0.05, 0.11, 1.07]


def test_requests_that_must_not_be_merged_run_alone() -> None:
    """For models whose outputs depend on the batch."""
    batches: list[int] = []

    async def compute(requests: Sequence[Uint8Array]) -> Computed:
        batches.append(len(requests))
        await asyncio.sleep(0.01)
        images = np.concatenate(requests)
        return Computed(outputs(images), outputs(images), 0.01)

    async def clients() -> list[Ran]:
        batcher = Batcher(compute, max_batch=64, merge=False)
        return await asyncio.gather(*(batcher.submit(pixels(number, 2)) for number in range(5)))

    assert [ran.batch_images for ran in run_in_fake_time(clients())] == [2] * 5
    assert batches == [1] * 5


def test_a_failure_is_told_to_every_request_of_its_batch_and_to_no_other() -> None:
    """The worker goes on with the next."""

    async def compute(requests: Sequence[Uint8Array]) -> Computed:
        await asyncio.sleep(0.01)
        images = np.concatenate(requests)
        if len(requests) > 1:
            raise ValueError("no such batch")
        return Computed(outputs(images), outputs(images), 0.01)

    async def clients() -> list[Ran | BaseException]:
        batcher = Batcher(compute, max_batch=2)
        return await asyncio.gather(*(batcher.submit(pixels(n, 1)) for n in range(4)), return_exceptions=True)

    first, *middle, last = run_in_fake_time(clients())
    assert [type(one) for one in middle] == [ValueError] * 2
    assert isinstance(first, Ran)
    assert isinstance(last, Ran)


def test_a_request_that_is_given_up_leaves_the_queue_at_once() -> None:
    """Not when its turn comes: until then nobody would count the memory of its images."""
    held = asyncio.Event()

    async def compute(requests: Sequence[Uint8Array]) -> Computed:
        await held.wait()
        images = np.concatenate(requests)
        return Computed(outputs(images), -outputs(images), 0.0)

    async def clients() -> None:
        batcher = Batcher(compute, max_batch=1)
        first = asyncio.create_task(batcher.submit(pixels(0, 1)))
        images = pixels(1, 1)
        waiting, there = asyncio.create_task(batcher.submit(images)), weakref.ref(images)
        del images
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        del waiting
        gc.collect()
        assert there() is None
        held.set()
        await first

    run_in_fake_time(clients())
