"""Whether callers' images may be put together, and how many: tried on the session that serves, a step at a time.

They may where images give the same bits in batches of every size, at other places and beside other images, as alone.
They are where a batch takes less processor time an image.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.call_turns import Answer
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS, ModelRunner

_MOST: Final = 8
"""Most images that are put together: more gain nothing, and wait for each other."""
_CANDIDATES: Final = (2, 4, 8)
_TIMINGS: Final = 3
_CROWDED_BEFORE: Final = 32
"""Calls behind which somebody waited before the trial: a process with a few calls must not pay for it."""
_LEAST_GAIN: Final = 1.05
_LONGEST: Final = 0.01
"""Seconds of a call from which nothing is gained: its arithmetic is all that counts."""
_SEED: Final = 57

# Processor time, which other threads don't lengthen; Windows counts it in steps of 16 ms.
_processor_time: Final = time.perf_counter if sys.platform == "win32" else time.thread_time


class MergingTrial:
    """Finds out how many images may be put together, a call at a time; safe to be used from several threads.

    Args:
        session: session of one thread on the CPU.
        clock: clock in seconds, of the processor time that the calling thread takes.

    Attributes:
        most: largest number of images in a batch of several callers; 1 where nothing is put together.
        note: the decision and its reason, for people; empty before there is one.
    """

    def __init__(self, session: ModelRunner, clock: Callable[[], float] = _processor_time) -> None:
        self._session = session
        self._clock = clock
        self._crowded = 0
        self._lock = threading.Lock()
        self._steps: Iterator[None] | None = None
        self._ended = False
        self.most = 1
        self.note = ""

    def go_on(self, images: Uint8Array) -> None:
        """Take the next step, behind a call that others wait for.

        Args:
            images: images of that call.
        """
        if self._ended or not self._lock.acquire(blocking=False):
            return
        try:
            self._crowded += 1
            if self._crowded > _CROWDED_BEFORE:
                self._steps = self._steps or self._try(images[:1])
                self._ended = self._ended or next(self._steps, self) is self
        except Exception:  # noqa: BLE001 - onnxruntime's exceptions share no base class of their own
            self.give_up("a batch of several failed")
        finally:
            self._lock.release()

    def give_up(self, why: str) -> None:
        """Put nothing together from now on."""
        self.most, self._ended = 1, True
        self.note = f"callers one by one ({why})"

    def _try(self, picture: Uint8Array) -> Iterator[None]:
        images = np.random.default_rng(_SEED).integers(0, 256, (_MOST, *picture.shape[1:]), dtype=np.uint8)
        images[_MOST // 2] = picture[0]
        alone: list[Answer] = []
        shortest = dict.fromkeys(range(1, _MOST + 1), float("inf"))
        for row in range(_MOST):
            alone.append(self._timed(images[row : row + 1], shortest))
            yield
        if shortest[1] > _LONGEST:
            self.give_up(f"{1e3 * shortest[1]:.0f} ms each: together they gain nothing")
            return
        for size in (*range(2, _MOST + 1), *_CANDIDATES * (_TIMINGS - 1)):
            first = (_MOST - size) // 2
            together = self._timed(images[first : first + size], shortest)
            if not _same(together, alone[first : first + size]):
                self.give_up("images put together give other bits")
                return
            yield
        self._decide(shortest)

    def _timed(self, images: Uint8Array, shortest: dict[int, float]) -> Answer:
        started = self._clock()
        answer = self._session.run(OUTPUTS, {INPUT: images}, None)
        shortest[len(images)] = min(shortest[len(images)], self._clock() - started)
        return answer

    def _decide(self, shortest: dict[int, float]) -> None:
        best = min(_CANDIDATES, key=lambda size: shortest[size] / size)
        gain = shortest[1] * best / shortest[best]
        if gain < _LEAST_GAIN:
            self.give_up(f"{best} images together measured {gain:.2f} times as fast")
            return
        self.most = best
        self.note = f"callers that wait answered {best} images at a time (measured {gain:.2f} times as fast, same bits)"


def _same(together: Answer, alone: list[Answer]) -> bool:
    rows = [np.concatenate(parts) for parts in zip(*alone, strict=True)]
    return all(one.tobytes() == other.tobytes() for one, other in zip(together, rows, strict=True))
