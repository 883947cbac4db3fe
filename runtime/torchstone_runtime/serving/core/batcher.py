"""Images of several requests computed together: whatever waits while the workers are busy becomes a batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.serving.core.refusals import DeadlineError

Outputs = tuple[Float32Array, Float32Array]
_NEVER: Final = float("inf")


@dataclass(frozen=True, eq=False, slots=True)
class Computed:
    """What a worker gives back for a batch.

    Attributes:
        logits: float32 [N, K], of all requests of the batch, in their order.
        probabilities: float32 [N, K].
        seconds: time that it computed.
    """

    logits: Float32Array
    probabilities: Float32Array
    seconds: float


@dataclass(frozen=True, eq=False, slots=True)
class Ran:
    """A request's share of a batch.

    Attributes:
        logits: float32 [n, K].
        probabilities: float32 [n, K].
        queue: seconds until a worker took it.
        compute: seconds that its batch was computed.
        batch_images: images in its batch.
    """

    logits: Float32Array
    probabilities: Float32Array
    queue: float
    compute: float
    batch_images: int


@dataclass(eq=False, slots=True)
class _Job:
    images: Uint8Array
    deadline: float
    joined: float
    taken: Callable[[], None]
    future: "asyncio.Future[Ran]" = field(repr=False)


class Batcher:
    """Hands images to workers: first come, first served, several requests at a time. Lives on one event loop.

    A worker that is idle takes all that waits, up to `max_batch` images; a request that has more by itself is taken
    alone. Only where `max_delay` is set does an idle worker wait for more to come. Batches that compute on several
    processors don't run beside one another where these are too few; meanwhile smaller requests pass those that wait.

    Args:
        compute: function that computes the images of some requests, each uint8 [n, C, H, W], in one batch.
        max_batch: most images of several requests in a batch.
        max_delay: seconds that the first of a batch waits for others.
        workers: batches computed at once, as many as there are processors.
        share: number of images that one processor computes at a time: a batch of more takes several, up to all; None
            where every batch takes one.
        merge: whether requests are put together at all.

    Attributes:
        merge: the same, which may change.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Uint8Array]], Awaitable[Computed]],
        *,
        max_batch: int,
        max_delay: float = 0.0,
        workers: int = 1,
        share: int | None = None,
        merge: bool = True,
    ) -> None:
        self._compute = compute
        self._share = share
        self._wide = 0  # processors of the batches that take several
        self.merge = merge
        self._max_batch = max_batch
        self._max_delay = max_delay
        self._idle = workers
        self._workers = workers
        self._jobs: deque[_Job] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def busy(self) -> bool:
        """Whether a worker computes, or something waits."""
        return bool(self._jobs) or self._idle < self._workers

    @property
    def _most(self) -> int:
        return self._max_batch if self.merge else 1

    def allow_merging(self) -> None:
        """Put requests together from now on; any thread may say so."""
        self.merge = True

    async def submit(
        self, images: Uint8Array, *, deadline: float | None = None, taken: Callable[[], None] = lambda: None
    ) -> Ran:
        """Wait for a request's images to be computed.

        Where the task that waits is cancelled, the request is not computed, unless a worker has it already.

        Args:
            images: uint8 [n, C, H, W], n at least 1.
            deadline: time of the event loop's clock after which no answer is wanted.
            taken: called when a worker takes the request, or it is dropped unanswered.

        Raises:
            DeadlineError: the deadline passed before it was computed.
            Whatever `compute` raises.
        """
        loop = asyncio.get_running_loop()
        job = _Job(images, _NEVER if deadline is None else deadline, loop.time(), taken, loop.create_future())
        self._jobs.append(job)
        self._dispatch()
        try:
            return await job.future
        except asyncio.CancelledError:
            self._withdraw(job)
            raise

    def _withdraw(self, job: _Job) -> None:
        """Forget a request that nobody waits for: its images would be kept until its turn, which may be far off."""
        if job in self._jobs:
            self._jobs.remove(job)
            job.taken()

    def _dispatch(self) -> None:
        while self._idle and (batch := self._take()):
            processors = self._processors(sum(len(job.images) for job in batch))
            wide = processors if processors > 1 else 0
            self._idle -= 1
            self._wide += wide
            task = asyncio.get_running_loop().create_task(self._run(batch, wide))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    def _take(self) -> list[_Job]:
        """Return the next batch; empty where nothing waits, or more is waited for."""
        now = asyncio.get_running_loop().time()
        self._drop_stale(now)
        if not self._jobs or self._must_wait(now):
            return []
        first = next((place for place, job in enumerate(self._jobs) if self._may_start(len(job.images))), None)
        batch: list[_Job] = []
        images = 0
        while first is not None and first < len(self._jobs) and self._joins(images, len(self._jobs[first].images)):
            job = self._jobs[first]
            del self._jobs[first]
            job.taken()
            if not job.future.done() and not _expired(job, now):
                batch.append(job)
                images += len(job.images)
        return batch

    def _joins(self, images: int, more: int) -> bool:
        return self._may_start(images + more) and (not images or images + more <= self._most)

    def _may_start(self, images: int) -> bool:
        processors = self._processors(images)
        return processors == 1 or self._wide + processors <= self._workers

    def _processors(self, images: int) -> int:
        return 1 if self._share is None else min(self._workers, max(1, -(-images // self._share)))

    def _drop_stale(self, now: float) -> None:
        # From the front only: what is further back is looked at when its turn comes.
        while self._jobs and (self._jobs[0].future.done() or _expired(self._jobs[0], now)):
            self._jobs.popleft().taken()

    def _must_wait(self, now: float) -> bool:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        due = self._jobs[0].joined + self._max_delay
        if now >= due or sum(len(job.images) for job in self._jobs) >= self._most:
            return False
        self._alarm = asyncio.get_running_loop().call_at(due, self._dispatch)
        return True

    async def _run(self, batch: list[_Job], wide: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            computed = await self._compute([job.images for job in batch])
            _answer(batch, computed, began, loop.time())
        except Exception as error:  # noqa: BLE001 - every request of the batch is told, whatever it was
            for job in batch:
                if not job.future.done():
                    job.future.set_exception(error)
        finally:
            self._idle += 1
            self._wide -= wide
            self._dispatch()


def _expired(job: _Job, now: float) -> bool:
    if now <= job.deadline:
        return False
    if not job.future.done():
        job.future.set_exception(DeadlineError("The deadline passed before the request was answered."))
    return True


def _answer(batch: Sequence[_Job], computed: Computed, began: float, now: float) -> None:
    ends = list(accumulate(len(job.images) for job in batch))
    for job, end in zip(batch, ends, strict=True):
        if job.future.done() or _expired(job, now):
            continue
        rows = slice(end - len(job.images), end)
        queue = began - job.joined
        job.future.set_result(
            Ran(computed.logits[rows], computed.probabilities[rows], queue, computed.seconds, ends[-1])
        )
