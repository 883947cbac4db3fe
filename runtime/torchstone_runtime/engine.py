"""The hot path: uint8 images in, logits and probabilities out.

Large inputs are cut into tiles that stay in the processor's cache, and tiles run on several single-threaded calls
at once. Against one call over everything on one thread this measured about twice as fast, with two processors
(docs/design.md has the figures).
"""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.images import Uint8Array

Float32Array = npt.NDArray[np.float32]
Outputs = tuple[Float32Array, Float32Array]

CPU_TILE: Final = 64
GPU_TILE: Final = 1024
_INPUT: Final = "images"
_OUTPUTS: Final = ["logits", "probabilities"]


class Engine:
    """Runs a session over any number of images; safe to be used from several threads.

    Args:
        session: an ONNX Runtime session with input `images` and outputs `logits` and `probabilities`.
        num_classes: K.
        workers: how many calls run at once.
        tile: images a call.
    """

    def __init__(self, session: Any, *, num_classes: int, workers: int, tile: int) -> None:  # noqa: ANN401
        self._session = session
        self.num_classes = num_classes
        self.workers = workers
        self.tile = tile
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="torchstone") if workers > 1 else None

    def run(self, images: Uint8Array) -> Outputs:
        """Run the model.

        Args:
            images: uint8, contiguous, of shape (N, C, H, W) as the model takes them; not checked here.

        Returns:
            logits and probabilities, float32 [N, K].

        Raises:
            UsageError: it is closed.
            BundleError: the model fails, or gives outputs of another shape.
        """
        if self._session is None:
            raise UsageError("This classifier is closed.", "Load it again with Classifier.load.")
        count = len(images)
        if 0 < count <= self.tile:
            return self._call(self._session, images)
        logits = np.empty((count, self.num_classes), dtype=np.float32)
        probabilities = np.empty_like(logits)
        starts = range(0, count, self.tile)
        if self._pool is None:
            for start in starts:
                self._run_tile(images, start, logits, probabilities)
        else:
            _finish([self._pool.submit(self._run_tile, images, start, logits, probabilities) for start in starts])
        return logits, probabilities

    def close(self) -> None:
        """End the worker threads and let go of the session."""
        if self._pool is not None:
            self._pool.shutdown()
        self._session = None

    def _run_tile(self, images: Uint8Array, start: int, logits: Float32Array, probabilities: Float32Array) -> None:
        tile = slice(start, start + self.tile)
        logits[tile], probabilities[tile] = self._call(self._session, images[tile])

    def _call(self, session: Any, images: Uint8Array) -> Outputs:  # noqa: ANN401 - onnxruntime ships no types
        try:
            logits, probabilities = session.run(_OUTPUTS, {_INPUT: images})
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


def _finish(futures: list[Future[None]]) -> None:
    try:
        for future in futures:
            future.result()
    except BaseException:
        for future in futures:
            future.cancel()
        raise
