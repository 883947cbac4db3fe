"""What one model has done so far, as plain numbers that a protocol renders."""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from torchstone_runtime.errors import first_line
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.serving.core.histogram import IMAGES, SECONDS, SHARES, Duration, Histogram

Rejection = Literal["queue_full", "deadline", "too_large", "bad_picture", "disconnected", "failed"]

REJECTIONS: Final[tuple[Rejection, ...]] = (
    "queue_full",
    "deadline",
    "too_large",
    "bad_picture",
    "disconnected",
    "failed",
)


def _seconds() -> Histogram:
    return Histogram(SECONDS)


@dataclass(slots=True)
class ModelStatistics:
    """Counters of one version of a model since the server began; a reload keeps them, unless the classes change.

    Attributes:
        class_names: K classes, in the order of `predictions`.
        images: images answered.
        batches: batches computed.
        success: requests answered, with their time from arrival to answer.
        failure: requests refused, failed or left by their client, with the time until then.
        queue, decode, compute: the parts of `Timings`, of each request answered.
        batch_sizes: batches by their number of images, with the time computed.
        rejected: requests without an answer, by reason.
        request_seconds, queue_seconds, decode_seconds, compute_seconds: the same durations in buckets; `compute` has
            each batch once, `decode` only requests that brought files.
        batch_images: sizes of the batches.
        confidence: probability of the chosen class, of each image answered.
        predictions: images by chosen class, K counts.
        unanswered: images for which the model's outputs are no answer.
        observer_failures: errors of what watches the answers, none of which reached a client.
        last_observer_failure: the latest of them, in a line; empty before the first.
        last_answer: time of the latest answer, seconds since 1970; None before the first.
    """

    class_names: tuple[str, ...]
    images: int = 0
    batches: int = 0
    success: Duration = field(default_factory=Duration)
    failure: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    decode: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    batch_sizes: defaultdict[int, Duration] = field(default_factory=lambda: defaultdict(Duration))
    rejected: Counter[Rejection] = field(default_factory=lambda: Counter(dict.fromkeys(REJECTIONS, 0)))
    request_seconds: Histogram = field(default_factory=_seconds)
    queue_seconds: Histogram = field(default_factory=_seconds)
    decode_seconds: Histogram = field(default_factory=_seconds)
    compute_seconds: Histogram = field(default_factory=_seconds)
    batch_images: Histogram = field(default_factory=lambda: Histogram(IMAGES))
    confidence: Histogram = field(default_factory=lambda: Histogram(SHARES))
    predictions: list[int] = field(init=False)
    unanswered: int = 0
    observer_failures: int = 0
    last_observer_failure: str = ""
    last_answer: float | None = None

    def __post_init__(self) -> None:
        self.predictions = [0] * len(self.class_names)

    def add_batch(self, images: int, seconds: float) -> None:
        """Count a batch that was computed."""
        self.batches += 1
        self.batch_sizes[images].add(seconds)
        self.batch_images.observe(images)
        self.compute_seconds.observe(seconds)

    def add_decisions(self, classes: Sequence[int], confidences: Sequence[float]) -> None:
        """Count what the model decided.

        Args:
            classes: class of each image, `NO_ANSWER` where there is none.
            confidences: probability of that class.
        """
        for chosen, confidence in zip(classes, confidences, strict=True):
            if chosen == NO_ANSWER:
                self.unanswered += 1
            else:
                self.predictions[chosen] += 1
                self.confidence.observe(confidence)

    def add_answer(self, images: int, seconds: float, queue: float, compute: float, decode: float | None) -> None:
        """Count a request that was answered; `decode` is None where it brought pixels."""
        self.images += images
        self.success.add(seconds)
        self.request_seconds.observe(seconds)
        self.queue.add(queue)
        self.queue_seconds.observe(queue)
        self.compute.add(compute)
        if decode is not None:
            self.decode.add(decode)
            self.decode_seconds.observe(decode)
        self.last_answer = time.time()

    def add_observer_failure(self, error: Exception) -> None:
        """Count an error of what watches the answers."""
        self.observer_failures += 1
        self.last_observer_failure = first_line(error)

    def add_rejection(self, reason: Rejection, seconds: float) -> None:
        """Count a request that gets no answer."""
        self.rejected[reason] += 1
        self.failure.add(seconds)
