"""The hot path: uint8 images in, logits and probabilities out.

Large inputs are cut into micro-batches that stay in the processor's cache, and several of them run at once, each in a
single-threaded call. Against one call over everything on one thread this measured about twice as fast, with two
processors (docs/explanation/design.md has the figures).
"""

import math
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any, Final

import numpy as np

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.errors import BundleError, UsageError
from torchstone_runtime.inference.call_turns import CallTurns
from torchstone_runtime.inference.fork_gate import FORK_GATE
from torchstone_runtime.inference.gpu_options import ON_NVIDIA
from torchstone_runtime.inference.helper_threads import WorkerPool
from torchstone_runtime.inference.latency_session import LatencySession, SessionOpener
from torchstone_runtime.inference.load_options import Mode
from torchstone_runtime.inference.merged_calls import MergedCalls
from torchstone_runtime.inference.merging_trial import MergingTrial
from torchstone_runtime.inference.providers import OpenedSession
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS, ModelRunner, RunOptions, row_shape
from torchstone_runtime.system.cpu import usable_cpus
from torchstone_runtime.system.openvino import ON_PROCESSOR

Outputs = tuple[Float32Array, Float32Array]

CPU_MICRO_BATCH: Final = 64
"""Most images in a call on the CPU; from 8 to 64 the speed of `cnn3` is the same (docs/reference/benchmarks.md)."""
_CPU_MICRO_BATCH_BYTES: Final = 64 << 10
_PAIR: Final = 2
"""Images that a call takes of larger pictures as well: a network of many small layers has a cost for each call, which
two share; more gain little there, and cost where the maps of a picture are large (docs/explanation/design.md)."""
_PAIR_BYTES: Final = 320 << 10
_SMALLEST_SHARE: Final = 8
"""Fewer images than this are not worth handing to a second worker, which takes some 50 microseconds."""
_LONE: Final = 2
"""A batch that leaves this share of the workers without an image is not shared out, but computed by many threads."""
GPU_MICRO_BATCH: Final = 1024


def cpu_micro_batch(image_bytes: int) -> int:
    """Return how many images a call takes at most on the CPU, so that what it works on stays in the cache.

    Args:
        image_bytes: size of one image in bytes, as the model takes it.
    """
    pair = min(_PAIR, _PAIR_BYTES // image_bytes)
    return max(1, pair, min(CPU_MICRO_BATCH, _CPU_MICRO_BATCH_BYTES // image_bytes))


def cpu_smallest_share(image_bytes: int) -> int:
    """Return how many images are worth handing to a second worker on the CPU: fewer of larger ones, 1 to 8.

    Args:
        image_bytes: size of one image in bytes, as the model takes it.
    """
    return max(1, min(_SMALLEST_SHARE, _CPU_MICRO_BATCH_BYTES // image_bytes))


class Engine:
    """Runs a session over any number of images; safe to be used from several threads.

    Args:
        session: an ONNX Runtime session with input `images` and outputs `logits` and `probabilities`, or a
            `gpu_engine.BoundSession` of one.
        num_classes: K.
        workers: number of calls that run at once, for all callers together, each of whose threads does its own work.
        micro_batch: largest number of images in a call.
        buckets: batch sizes of a GPU, ascending; none where any size is run as it is.
        survives_fork: whether the session works in a process forked from this one; one on a GPU or of OpenVINO, whose
            threads stay behind, doesn't.
        latency: runner of the calls that are too small to be shared out; the session itself if None.
        smallest_share: number of images from which a worker is given some.
        merges: whether callers that wait may be answered together, see `MergedCalls`.
    """

    def __init__(
        self,
        session: ModelRunner,
        *,
        num_classes: int,
        workers: int,
        micro_batch: int,
        buckets: tuple[int, ...] = (),
        survives_fork: bool = True,
        latency: LatencySession | None = None,
        smallest_share: int = _SMALLEST_SHARE,
        merges: bool = False,
    ) -> None:
        self._session: ModelRunner | None = session
        self._latency = latency
        self.num_classes = num_classes
        self.workers = workers
        self.micro_batch = micro_batch
        self.buckets = buckets
        self._smallest_share = smallest_share
        self._bound_to = None if survives_fork else os.getpid()
        self._pool = WorkerPool(workers - 1, "torchstone")
        self._turns = CallTurns(workers)
        self._merged: MergedCalls | None = None
        if merges:
            when_merged = latency.keep_to_one if latency is not None else _nothing
            self._merged = MergedCalls(session, self._turns, MergingTrial(session), when_merged)

    def run(
        self, images: Uint8Array, *, micro_batch: int | None = None, run_options: RunOptions | None = None
    ) -> Outputs:
        """Run the model.

        Args:
            images: uint8, contiguous, of shape (N, C, H, W) as the model takes them; not checked here.
            micro_batch: largest number of images in a call, in place of the engine's own number.
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
                "A session on a GPU or of OpenVINO does not work in a process made by fork.",
                "Load the classifier in that process, or make it by 'spawn'.",
            )
        count = len(images)
        latency = self._latency
        if latency is not None and run_options is None and 0 < _LONE * count <= self.workers:
            return self._call(latency, images, None)
        micro_batch = self._share_of(count, micro_batch or self.micro_batch)
        if 0 < count <= micro_batch:
            return self._call(session, images, run_options)
        logits = np.empty((count, self.num_classes), dtype=np.float32)
        probabilities = np.empty_like(logits)
        pending = deque(slice(start, start + micro_batch) for start in range(0, count, micro_batch))

        def work() -> None:
            while (part := _take(pending)) is not None:
                logits[part], probabilities[part] = self._call(session, images[part], run_options)

        self._share(work, min(self.workers, len(pending)), pending)
        return logits, probabilities

    def close(self, *, wait: bool = True) -> None:
        """End the worker threads, see `WorkerPool.close`, and let go of the session."""
        self._session = None
        self._pool.close(wait=wait)
        self._latency = self._merged = None

    @property
    def latency_note(self) -> str:
        """What runs small calls and why, for people; empty where that is not decided or nothing is to be."""
        latency = self._latency
        return "" if latency is None else latency.note

    @property
    def merging_note(self) -> str:
        """Whether callers that wait are answered together and why, for people; empty as above."""
        merged = self._merged
        return "" if merged is None else merged.note

    @property
    def closed(self) -> bool:
        """Whether it has been closed."""
        return self._session is None

    def _share_of(self, count: int, micro_batch: int) -> int:
        """Return at most `micro_batch` images per call, so that every worker gets as many calls as the others."""
        if self.workers == 1 or count < self.workers * min(self._smallest_share, micro_batch):
            return micro_batch
        calls = math.ceil(math.ceil(count / micro_batch) / self.workers) * self.workers
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
            pending.clear()  # after an error nobody starts another micro-batch
            begun = [helper for helper in helpers if not helper.cancel()]
            wait(begun)
        for helper in begun:
            helper.result()

    def _call(self, session: ModelRunner, images: Uint8Array, run_options: RunOptions | None) -> Outputs:
        merged = self._merged if run_options is None else None
        try:
            with FORK_GATE:
                logits, probabilities = (
                    self._take_turn(session, images, run_options) if merged is None else merged.run(session, images)
                )
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

    def _take_turn(self, session: ModelRunner, images: Uint8Array, run_options: RunOptions | None) -> Sequence[Any]:
        with self._turns:
            return session.run(OUTPUTS, {INPUT: images}, run_options)


def make_engine(
    opened: OpenedSession,
    num_classes: int,
    threads: int | None = None,
    *,
    mode: Mode = "throughput",
    opener: SessionOpener | None = None,
) -> Engine:
    """Return the engine that serves a session: what is certified and measured runs on the very same.

    Args:
        opened: session of a model whose inputs and outputs are those of the bundle format.
        num_classes: K.
        threads: number of calls that run at once on the CPU; the processors this process may use if None. A GPU runs
            one call at a time: more threads would only wait for each other.
        mode: aim on the CPU, see `LoadOptions`.
        opener: maker of a session of several threads on the CPU; without one every call runs on one thread.
    """
    if opened.provider in ON_PROCESSOR:
        image_bytes = math.prod(row_shape(opened.session.get_inputs()[0]))
        workers = threads or usable_cpus()
        latency = None
        if opener is not None and mode != "throughput" and workers >= _LONE:
            latency = LatencySession(opened.session, opener, workers, mode)
        return Engine(
            opened.session,
            num_classes=num_classes,
            workers=workers,
            micro_batch=cpu_micro_batch(image_bytes),
            survives_fork=opened.provider == "cpu",
            latency=latency,
            smallest_share=cpu_smallest_share(image_bytes),
            merges=opened.provider == "cpu",
        )
    if opened.provider in ON_NVIDIA:
        from torchstone_runtime.inference.gpu_engine import bind  # noqa: PLC0415 - a CPU does without

        bound = bind(opened)
        largest, sizes = bound.buckets[-1], bound.buckets
        return Engine(
            bound, num_classes=num_classes, workers=1, micro_batch=largest, buckets=sizes, survives_fork=False
        )
    return Engine(opened.session, num_classes=num_classes, workers=1, micro_batch=GPU_MICRO_BATCH, survives_fork=False)


def _nothing() -> None:
    """Nobody has to know."""


def _take(pending: deque[slice]) -> slice | None:
    # Asking first whether there is one left would leave another thread time to take it.
    try:
        return pending.popleft()
    except IndexError:
        return None
