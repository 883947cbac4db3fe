"""The hot path: uint8 images in, logits and probabilities out.

Large inputs are cut into tiles that stay in the processor's cache, and tiles run on several single-threaded calls
at once. Against one call over everything on one thread this measured about twice as fast, with two processors
(docs/design.md has the figures).
"""

import math
import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import wait
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.fork_gate import FORK_GATE
from torchstone_runtime.inference.workers import WorkerPool

Outputs = tuple[Float32Array, Float32Array]

CPU_TILE: Final = 64
"""Most images in a call on the CPU; from 8 to 64 the speed of `cnn3` is the same (docs/benchmarks.md)."""
_CPU_TILE_BYTES: Final = 64 << 10
_SMALLEST_SHARE: Final = 8
"""Fewer images than this are not worth handing to a second worker, which takes some 50 microseconds."""
GPU_TILE: Final = 1024
INPUT: Final = "images"
OUTPUTS: Final = ["logits", "probabilities"]


def cpu_tile(image_bytes: int) -> int:
    """Return how many images a call takes at most on the CPU, so that what it works on stays in the cache.

    Args:
        image_bytes: of one image as the model takes it.
    """
    return max(1, min(CPU_TILE, _CPU_TILE_BYTES // image_bytes))


class Engine:
    """Runs a session over any number of images; safe to be used from several threads.

    Args:
        session: an ONNX Runtime session with input `images` and outputs `logits` and `probabilities`, or a
            `gpu_engine.BoundSession` of one.
        num_classes: K.
        workers: how many calls run at once for one caller, whose own thread is one of them.
        tile: most images a call.
        survives_fork: whether the session works in a process forked from this one; one on a GPU doesn't.
    """

    def __init__(
        self,
        session: Any,  # noqa: ANN401 - onnxruntime ships no types
        *,
        num_classes: int,
        workers: int,
        tile: int,
        survives_fork: bool = True,
    ) -> None:
        self._session = session
        self.num_classes = num_classes
        self.workers = workers
        self.tile = tile
        self._bound_to = None if survives_fork else os.getpid()
        self._pool = WorkerPool(workers - 1, "torchstone")

    def run(self, images: Uint8Array, run_options: Any = None) -> Outputs:  # noqa: ANN401 - onnxruntime ships no types
        """Run the model.

        Args:
            images: uint8, contiguous, of shape (N, C, H, W) as the model takes them; not checked here.
            run_options: ONNX Runtime's `RunOptions`, by which another thread can stop the run; on the CPU alone.

        Returns:
            logits and probabilities, float32 [N, K].

        Raises:
            UsageError: it is closed, or bound to the process that this one was forked from.
            BundleError: the model fails, or gives outputs of another shape.
        """
        session = self._session  # a call that has begun ends well even if another thread closes the classifier
        if session is None:
            raise UsageError("This classifier is closed.", "Load it again with Classifier.load.")
        if self._bound_to not in (None, os.getpid()):
            raise UsageError(
                "A session on a GPU does not work in a process made by fork.",
                "Load the classifier in that process, or make it by 'spawn'.",
            )
        count = len(images)
        tile = self._tile_of(count)
        if 0 < count <= tile:
            return self._call(session, images, run_options)
        logits = np.empty((count, self.num_classes), dtype=np.float32)
        probabilities = np.empty_like(logits)
        pending = deque(slice(start, start + tile) for start in range(0, count, tile))

        def work() -> None:
            while (part := _take(pending)) is not None:
                logits[part], probabilities[part] = self._call(session, images[part], run_options)

        self._share(work, min(self.workers, len(pending)), pending)
        return logits, probabilities

    def close(self) -> None:
        """End the worker threads and let go of the session."""
        self._session = None
        self._pool.close()

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._session is None

    def _tile_of(self, count: int) -> int:
        """Return at most `tile` images a call, so that every worker gets as many calls as the others."""
        if self.workers == 1 or count < self.workers * min(_SMALLEST_SHARE, self.tile):
            return self.tile
        calls = math.ceil(math.ceil(count / self.tile) / self.workers) * self.workers
        return math.ceil(count / calls)

    def _share(self, work: Callable[[], None], workers: int, pending: deque[slice]) -> None:
        """Do the pending work in this thread with the help of others; return when all of it is done.

        Helpers that haven't begun when this thread finds nothing more to do are not waited for: where the machine is
        busy, or the pool serves another caller, this thread does everything itself.
        """
        helpers = self._pool.submit(work, workers - 1)
        try:
            work()
        finally:
            pending.clear()  # after an error nobody starts another tile
            begun = [helper for helper in helpers if not helper.cancel()]
            wait(begun)
        for helper in begun:
            helper.result()

    def _call(self, session: Any, images: Uint8Array, run_options: Any) -> Outputs:  # noqa: ANN401 - as in `run`
        stop = () if run_options is None else (run_options,)
        try:
            with FORK_GATE:
                logits, probabilities = session.run(OUTPUTS, {INPUT: images}, *stop)
        except Exception as error:  # onnxruntime's exceptions share no base class of their own.
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise BundleError(
                f"ONNX Runtime cannot run the model on {len(images)} images: {reason}",
                "The file asks for more memory than there is, or was not exported by Torchstone.",
            ) from error
        expected = (len(images), self.num_classes)
        if logits.shape != expected or probabilities.shape != expected:
            raise BundleError(f"The model gives {logits.shape} for {len(images)} images, expected {expected}.")
        return logits, probabilities


def _take(pending: deque[slice]) -> slice | None:
    # Asking first whether there is one left would leave another thread time to take it.
    try:
        return pending.popleft()
    except IndexError:
        return None
