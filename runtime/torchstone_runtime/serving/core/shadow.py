"""A second model that sees the same requests when the server is idle, and whose answers reach nobody."""

import asyncio
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import UsageError, first_line
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier
from torchstone_runtime.metrics.answered import NO_ANSWER
from torchstone_runtime.serving.core.limits import DEFAULT_SHADOW_SHARE
from torchstone_runtime.serving.core.served_model import Seen, ServedModel
from torchstone_runtime.serving.core.shadow_statistics import ShadowStatistics

_MOST_IMAGES: Final = 256
_MOST_BYTES: Final = 64 << 20
"""Most images and bytes that wait for the shadow."""
_POLL: Final = 0.02
"""Seconds between looks whether the server is idle."""
_LOWEST_PRIORITY: Final = 19


class Shadow:
    """An observer (`served_model.Observer`) that runs a second model on what a model answered, and compares.

    It runs on a thread of the lowest priority, only while the model is idle, and for at most a share of the time.
    What it can't do in time it drops.

    Args:
        name: name of the model whose requests it sees.
        class_names: classes of that model.
        classifier: the second model, loaded and verified; on one thread.
        share: share of the time that it may compute, above 0 to 1.

    Attributes:
        statistics: findings of the comparison so far.

    Raises:
        UsageError: the second model has other classes.
    """

    def __init__(
        self, name: str, class_names: tuple[str, ...], classifier: Classifier, share: float = DEFAULT_SHADOW_SHARE
    ) -> None:
        if set(class_names) != set(classifier.class_names):
            raise UsageError(
                f"The shadow '{classifier.name}' has other classes than the model '{name}', so that their decisions "
                "can't be compared.",
                "Give a bundle of the same classes.",
            )
        self.name = name
        self.statistics = ShadowStatistics(class_names, classifier.sha256)
        self.classifier = classifier
        # Class indices of the shadow to those of the model; NO_ANSWER, -1, finds the last place.
        self._index = np.array([*(class_names.index(own) for own in classifier.class_names), NO_ANSWER])
        self._pause = 1 / share - 1
        self._waiting: deque[tuple[ServedModel, Seen]] = deque()
        self._thread = ThreadPoolExecutor(1, "torchstone-shadow", initializer=_step_back)
        self._work: asyncio.Task[None] | None = None

    def __call__(self, model: ServedModel, seen: Seen) -> None:
        """Take a request to be compared, or drop it."""
        if model.name != self.name or model.class_names != self.statistics.class_names:
            return
        waiting = [*(seen for _, seen in self._waiting), seen]
        if sum(len(one.images) for one in waiting) > _MOST_IMAGES or sum(map(_size, waiting)) > _MOST_BYTES:
            self.statistics.dropped += len(seen.images)
            return
        self._waiting.append((model, seen))
        if self._work is None or self._work.done():
            self._work = asyncio.get_running_loop().create_task(self._compare_all())

    def close(self) -> None:
        """End its work; whatever it computes now ends by itself."""
        if self._work is not None:
            self._work.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _compare_all(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self._waiting[0][0].busy:
                await asyncio.sleep(_POLL)
                continue
            model, seen = self._waiting.popleft()
            began = time.perf_counter()
            try:
                found = await loop.run_in_executor(self._thread, self._decide, model.input_spec, seen)
            except Exception as error:  # noqa: BLE001 - its troubles are its own
                self.statistics.failures += 1
                self.statistics.last_failure = first_line(error)
            else:
                self._count(seen, found)
            seconds = time.perf_counter() - began
            self.statistics.compute_seconds.observe(seconds)
            await asyncio.sleep(seconds * self._pause)

    def _decide(self, spec: InputSpec, seen: Seen) -> tuple[list[int], list[int]] | None:
        """Return what the model and the shadow chose, as the model's class indices; None if it can't be compared."""
        images = self._input(spec, seen)
        if images is None:
            return None
        own = self.classifier.predict(images, unanswered="keep").indices_or_none
        return seen.answer.decisions.tolist(), self._index[own].tolist()

    def _input(self, theirs: InputSpec, seen: Seen) -> Uint8Array | None:
        own = self.classifier.input_spec
        if seen.files is not None and not _same_decoding(theirs, own):
            return np.stack([decode_image(file, own) for file in seen.files])
        return seen.images if seen.images.shape[1:] == own.shape else None

    def _count(self, seen: Seen, found: tuple[Sequence[int], Sequence[int]] | None) -> None:
        if found is None:
            self.statistics.incomparable += len(seen.images)
            return
        for model, shadow in zip(*found, strict=True):
            self.statistics.add(model, shadow)


def _size(seen: Seen) -> int:
    return seen.images.nbytes + sum(map(len, seen.files or ()))


def _same_decoding(one: InputSpec, other: InputSpec) -> bool:
    # Mean and standard deviation are part of the graph, not of the decoding.
    return one.color == other.color and replace(one, mean=other.mean, std=other.std) == other


def _step_back() -> None:
    # On Linux a priority is a thread's own; where it is the whole process's, it must stay.
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
