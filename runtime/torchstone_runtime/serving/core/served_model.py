"""`ServedModel`: one version of one model, verified, with its queue, its workers and its counters."""

import asyncio
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.array_input import as_batch
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.serving.core.admission import Admission, Announcement, Place
from torchstone_runtime.serving.core.answer import Answer, Timings
from torchstone_runtime.serving.core.batch_computer import BatchComputer
from torchstone_runtime.serving.core.batcher import Batcher
from torchstone_runtime.serving.core.deadline import before
from torchstone_runtime.serving.core.decoding import DecodingPool
from torchstone_runtime.serving.core.in_flight import InFlight
from torchstone_runtime.serving.core.limits import ServingLimits
from torchstone_runtime.serving.core.merge_trial import MergeTrial
from torchstone_runtime.serving.core.refusals import (
    BadPictureError,
    DeadlineError,
    QueueFullError,
    TooLargeError,
)
from torchstone_runtime.serving.core.statistics import ModelStatistics, Rejection
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.memory import give_back_freed_memory

REASONS: Final[dict[type[BaseException], Rejection]] = {
    QueueFullError: "queue_full",
    TooLargeError: "too_large",
    DeadlineError: "deadline",
    BadPictureError: "bad_picture",
    asyncio.CancelledError: "disconnected",
}
"""What a request that ended with an error is counted as."""


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """A request that was answered, for those who watch.

    Attributes:
        images: pixels that the model was given, uint8 [N, C, H, W].
        files: picture files that they were decoded from; None where they came as pixels.
        answer: answer that the client gets.
    """

    images: Uint8Array
    files: tuple[bytes, ...] | None
    answer: Answer


Observer = Callable[["ServedModel", Seen], None]
"""What sees every answered request, on the event loop: it must be quick, and hand longer work to a thread of its own.

What it raises never reaches a client.
"""


class ServedModel:
    """One version of one model, checked and ready to answer. Its methods are called on one event loop.

    It needs no closing: once nobody holds it, its threads end and its session is freed. So a reload can replace it
    while requests that began with it are answered by it.

    Args:
        name: name that it is served by.
        version: its version, a whole number as text.
        classifier: the loaded and verified model.
        limits: limits of what it takes on at once.
        in_flight: counter of requests, shared with other models.
        observers: functions that see every answered request; the list may change later.

    Attributes:
        variant: name of the variant that is run.
        class_names: K class names in the order of the outputs.
        input_spec: size, colour and normalisation of the images that the model takes.
    """

    def __init__(
        self,
        name: str,
        version: str,
        classifier: Classifier,
        limits: ServingLimits,
        in_flight: InFlight | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.name, self.version = name, version
        self.classifier = classifier
        self.variant = classifier.plan.variant
        self.limits = limits
        self.class_names = classifier.class_names
        self.input_spec = classifier.input_spec
        self._in_flight = in_flight or InFlight()
        self._observers = observers
        self._admission = Admission(limits.max_queue)
        workers = limits.workers or (usable_cpus() if classifier.plan.provider == "cpu" else 1)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="torchstone-serve")
        self._decoding = DecodingPool(limits.decode_threads or usable_cpus(), limits.large_picture, limits.open_bytes)
        self._run = BatchComputer(classifier, self._threads, self._admission, workers)
        self._batcher = Batcher(
            self._run,
            max_batch=limits.max_batch,
            max_delay=limits.max_delay,
            workers=workers,
            # A call of several tiles computes on all processors: two at once would stand in each other's way.
            share=classifier.plan.micro_batch if classifier.plan.provider == "cpu" else None,
            merge=False,
        )
        self._trial = MergeTrial(classifier, limits.max_batch, self._batcher.allow_merging)
        weakref.finalize(self, _let_go, self._trial, self._threads, self._decoding, classifier)

    @property
    def statistics(self) -> ModelStatistics:
        """What it has done so far."""
        return self._run.statistics

    @property
    def merges(self) -> bool:
        """Whether requests are put together: whether an image's outputs were found the same in whatever batch."""
        return self._batcher.merge

    def try_merging(self) -> None:
        """Find out whether requests may be put together; without that, it is found out after the first answer."""
        self._trial.run()

    def go_on_counting(self, statistics: ModelStatistics) -> None:
        """Count further in the statistics of the model that this one replaces, which has the same classes."""
        self._run.statistics = statistics

    @property
    def pending_images(self) -> int:
        """Number of images that wait, those being decoded included."""
        return self._admission.waiting

    @property
    def pending_requests(self) -> int:
        """Number of requests that these images belong to."""
        return self._admission.waiting_requests

    @property
    def busy(self) -> bool:
        """Whether images wait or are computed."""
        return self._batcher.busy or self._admission.waiting > 0

    @property
    def full(self) -> bool:
        """Whether a request that comes now would find no room."""
        return self._admission.full

    def announce(self) -> Announcement:
        """Count a request that is on its way here; to be ended just before it is classified, or fails."""
        return self._admission.announce()

    def refuse(self) -> QueueFullError:
        """Count a request that is refused before it was read, and return what it is told."""
        self.statistics.add_rejection("queue_full", 0.0)
        return self._admission.refusal()

    def check_room(self, images: int) -> None:
        """Refuse a request that says how many images it has and has not been read yet.

        Raises:
            TooLargeError, QueueFullError: see there.
        """
        self._admission.check(images)

    async def classify(self, images: Uint8Array, *, deadline: float | None = None) -> Answer:
        """Classify images; to be cancelled where the client has left.

        Args:
            images: uint8 [N, C, H, W] as the model takes them.
            deadline: time of the event loop's clock (`loop.time()`) after which no answer is wanted; None forever.

        Raises:
            UsageError: another dtype or shape, or no images.
            TooLargeError, QueueFullError, DeadlineError: see there.
            BundleError: the model failed.
        """
        with self._counted() as began:
            batch = _some(as_batch(images, self.input_spec))
            with self._admission.enter(len(batch)) as place:
                answer = await before(deadline, self._answer(batch, 0.0, place, deadline))
            self._count_answer(answer, began, None)
        self._show(Seen(batch, None, answer))
        return answer

    async def classify_files(self, files: Sequence[bytes], *, deadline: float | None = None) -> Answer:
        """Decode picture files exactly as in training, and classify them; otherwise as `classify`.

        Args:
            files: contents of N picture files.
            deadline: time of the event loop's clock after which no answer is wanted; None forever.

        Raises:
            BadPictureError: one can't be decoded; the others aren't answered either.
            UsageError: no pictures.
            TooLargeError, QueueFullError, DeadlineError, BundleError: as for `classify`.
        """
        with self._counted() as began:
            given = tuple(_some(files))
            with self._admission.enter(len(given)) as place:
                images, answer = await before(deadline, self._decode_and_answer(given, began, place, deadline))
            self._count_answer(answer, began, answer.timings.decode)
        self._show(Seen(images, given, answer))
        return answer

    async def _decode_and_answer(
        self, files: Sequence[bytes], began: float, place: Place, deadline: float | None
    ) -> tuple[Uint8Array, Answer]:
        images = await self._decoding.decode(files, self.input_spec)
        return images, await self._answer(images, asyncio.get_running_loop().time() - began, place, deadline)

    async def _answer(self, images: Uint8Array, decode: float, place: Place, deadline: float | None) -> Answer:
        ran = await self._batcher.submit(images, deadline=deadline, taken=place.leave)
        timings = Timings(ran.queue, decode, ran.compute, ran.batch_images)
        return Answer(ran.logits, ran.probabilities, timings)

    @contextmanager
    def _counted(self) -> Iterator[float]:
        """Count a request in flight, and why it got no answer where it got none; yields when it began."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._in_flight.begin()
        try:
            yield began
        except BaseException as error:
            self.statistics.add_rejection(REASONS.get(type(error), "failed"), loop.time() - began)
            raise
        finally:
            self._in_flight.end()

    def _count_answer(self, answer: Answer, began: float, decode: float | None) -> None:
        seconds = asyncio.get_running_loop().time() - began
        timings = answer.timings
        self.statistics.add_answer(len(answer.logits), seconds, timings.queue, timings.compute, decode)
        self._trial.begin()

    def _show(self, seen: Seen) -> None:
        for observer in self._observers:
            try:
                observer(self, seen)
            except Exception as error:  # noqa: BLE001 - whoever watches must not hurt who is served
                self.statistics.add_observer_failure(error)


_Given = TypeVar("_Given", Uint8Array, Sequence[bytes])


def _some(given: _Given) -> _Given:
    if len(given) == 0:
        raise UsageError("The request holds no images.", "Send at least one.")
    return given


def _let_go(trial: MergeTrial, threads: ThreadPoolExecutor, decoding: DecodingPool, classifier: Classifier) -> None:
    trial.stop()
    threads.shutdown(wait=False)
    decoding.close()
    classifier.close(wait=False)
    # Else a server that reloads again and again grows: by 130 MB in 250 times with a model of 1.5 MB.
    give_back_freed_memory()
