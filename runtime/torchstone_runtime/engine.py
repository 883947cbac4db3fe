"""The hot path: uint8 images in, logits and probabilities out.

Large inputs are cut into tiles that stay in the processor's cache, and tiles run on several single-threaded calls
at once. Against one call over everything on one thread this measured about twice as fast, with two processors
(docs/design.md has the figures).
"""

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images import Uint8Array

Float32Array = npt.NDArray[np.float32]
Outputs = tuple[Float32Array, Float32Array]

CPU_TILE: Final = 64
"""Most images in a call on the CPU; from 8 to 64 the speed of `cnn3` is the same (docs/benchmarks.md)."""
_CPU_TILE_BYTES: Final = 64 << 10
_SMALLEST_SHARE: Final = 8
"""Fewer images than this are not worth handing to a second worker, which takes some 50 microseconds."""
GPU_TILE: Final = 1024
_INPUT: Final = "images"
_OUTPUTS: Final = ["logits", "probabilities"]


def cpu_tile(image_bytes: int) -> int:
    """Return how many images a call takes at most on the CPU, so that what it works on stays in the cache.

    Args:
        image_bytes: of one image as the model takes it.
    """
    return max(1, min(CPU_TILE, _CPU_TILE_BYTES // image_bytes))


class Engine:
    """Runs a session over any number of images; safe to be used from several threads.

    Args:
        session: an ONNX Runtime session with input `images` and outputs `logits` and `probabilities`.
        num_classes: K.
        workers: how many calls run at once for one caller, whose own thread is one of them.
        tile: most images a call.
    """

    def __init__(self, session: Any, *, num_classes: int, workers: int, tile: int) -> None:  # noqa: ANN401
        self._session = session
        self.num_classes = num_classes
        self.workers = workers
        self.tile = tile
        self._pool = ThreadPoolExecutor(workers - 1, thread_name_prefix="torchstone") if workers > 1 else None

    def run(self, images: Uint8Array) -> Outputs:
        """Run the model.

        Args:
            images: uint8, contiguous, of shape (N, C, H, W) as the model takes them; not checked here.

        Returns:
            logits and probabilities, float32 [N, K].

        Raises:
            UsageError: it is closed.
        """
        session = self._session  # a call that has begun ends well even if another thread closes the classifier
        if session is None:
            raise UsageError("This classifier is closed.", "Load it again with Classifier.load.")
        count = len(images)
        tile = self._tile_of(count)
        if 0 < count <= tile:
            logits, probabilities = session.run(_OUTPUTS, {_INPUT: images})
            return logits, probabilities
        logits = np.empty((count, self.num_classes), dtype=np.float32)
        probabilities = np.empty_like(logits)
        pending = deque(slice(start, start + tile) for start in range(0, count, tile))

        def work() -> None:
            while (part := _take(pending)) is not None:
                logits[part], probabilities[part] = session.run(_OUTPUTS, {_INPUT: images[part]})

        self._share(work, min(self.workers, len(pending)), pending)
        return logits, probabilities

    def close(self) -> None:
        """End the worker threads and let go of the session."""
        if self._pool is not None:
            self._pool.shutdown()
        self._session = None

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
        helpers = self._helpers(work, workers - 1)
        try:
            work()
        finally:
            pending.clear()  # after an error nobody starts another tile
            begun = [helper for helper in helpers if not helper.cancel()]
            wait(begun)
        for helper in begun:
            helper.result()

    def _helpers(self, work: Callable[[], None], count: int) -> list[Future[None]]:
        try:
            return [self._pool.submit(work) for _ in range(count)] if self._pool else []
        except RuntimeError:  # closed meanwhile
            return []


def _take(pending: deque[slice]) -> slice | None:
    # Asking first whether there is one left would leave another thread time to take it.
    try:
        return pending.popleft()
    except IndexError:
        return None
