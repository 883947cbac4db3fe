"""Fixed batch sizes, bound to memory of the device: what a GPU wants of its caller.

A new batch size costs a GPU a search for algorithms or a new engine, and a CUDA graph holds for one size alone. So
there are few sizes, the buckets; a batch is cut into them, and the last piece is padded.
"""

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.inference.gpu_options import buckets_for
from torchstone_runtime.inference.providers import OpenedSession
from torchstone_runtime.inference.session_io import INPUT, OUTPUTS, OrtSession, row_shape

_MAX_PADDING: Final = 2
_DEVICE_ID: Final = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Images `start` to `stop` (exclusive), run as a batch of `bucket`."""

    start: int
    stop: int
    bucket: int


def pieces(count: int, buckets: Sequence[int]) -> Iterator[Piece]:
    """Cut a batch into buckets, in order.

    No bucket is less than half full. Where each bucket is at most four times the one before, there are at most as
    many pieces behind the largest ones as there are buckets.

    Args:
        count: images.
        buckets: batch sizes, ascending, the first one 1.
    """
    start = 0
    while start < count:
        bucket = _bucket(count - start, buckets)
        stop = min(count, start + bucket)
        yield Piece(start, stop, bucket)
        start = stop


def _bucket(left: int, buckets: Sequence[int]) -> int:
    for bucket in buckets:
        if left <= bucket <= _MAX_PADDING * left:
            return bucket
    return max(bucket for bucket in buckets if bucket <= left)


class BoundSession:
    """A session whose inputs and outputs stay where they are in the device's memory; safe for several threads.

    It takes the calls that an `Engine` makes of a session, one at a time: the memory is there once.

    Args:
        session: an ONNX Runtime session with input `images` and outputs `logits` and `probabilities`.
        device: device of the memory: `cuda`, or `cpu` for a session on the CPU.
        buckets: batch sizes, ascending, the first one 1.
        cuda_graphs: whether the session was made with `enable_cuda_graph`.
    """

    def __init__(
        self,
        session: OrtSession,
        *,
        device: str,
        buckets: Sequence[int],
        cuda_graphs: bool = False,
    ) -> None:
        self.buckets = tuple(buckets)
        self._session = session
        self._device = device
        self._graphs = cuda_graphs
        self._bound: dict[int, _Bound] = {}
        self._lock = threading.Lock()
        # ONNX Runtime wants a session with CUDA graphs to be run by one thread, always the same.
        self._thread = ThreadPoolExecutor(1, "torchstone-gpu") if cuda_graphs else None

    def run(
        self, names: Sequence[str], feeds: Mapping[str, Uint8Array], _run_options: object = None, /
    ) -> list[Float32Array]:
        """Run the model as `InferenceSession.run` does.

        Args:
            names: `logits` and `probabilities`, in this order.
            feeds: `images`, uint8 [N, C, H, W], N at least 1.
            _run_options: not used: a run on a GPU isn't stopped by another thread.

        Returns:
            An array an output, float32 [N, K], of the caller's own.

        Raises:
            ValueError: other outputs are asked for.
        """
        if list(names) != OUTPUTS:
            raise ValueError(f"only {OUTPUTS} are bound, not {list(names)}")
        if self._thread is not None:
            return self._thread.submit(self._run, feeds[INPUT]).result()
        return self._run(feeds[INPUT])

    def _run(self, images: Uint8Array) -> list[Float32Array]:
        with self._lock:
            parts = [
                self._bound_to(piece.bucket).run(images[piece.start : piece.stop])
                for piece in pieces(len(images), self.buckets)
            ]
        return parts[0] if len(parts) == 1 else [np.concatenate(rows) for rows in zip(*parts, strict=True)]

    def _bound_to(self, bucket: int) -> "_Bound":
        if bucket not in self._bound:
            # 0 is the graph of runs without a number, which this keeps clear of.
            graph = 1 + self.buckets.index(bucket) if self._graphs else None
            self._bound[bucket] = _Bound(self._session, self._device, bucket, graph)
        return self._bound[bucket]


def bind(opened: OpenedSession) -> BoundSession:
    """Return what serves on an NVIDIA GPU, with the batch sizes for the images that the model takes."""
    buckets = buckets_for(math.prod(row_shape(opened.session.get_inputs()[0])))
    return BoundSession(opened.session, device="cuda", buckets=buckets, cuda_graphs=opened.cuda_graphs)


class _Bound:
    """Memory for one batch size, bound to the session."""

    def __init__(self, session: OrtSession, device: str, bucket: int, graph: int | None) -> None:
        def allocate(shape: tuple[int, ...], dtype: type[np.generic]) -> Any:  # noqa: ANN401
            return ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, device, _DEVICE_ID)

        shape = (bucket, *row_shape(session.get_inputs()[0]))
        rows = {output.name: row_shape(output) for output in session.get_outputs()}
        self._session = session
        self._staging = np.zeros(shape, dtype=np.uint8)
        self._input = allocate(shape, np.uint8)
        self._outputs = [allocate((bucket, *rows[name]), np.float32) for name in OUTPUTS]
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(INPUT, self._input)
        for name, value in zip(OUTPUTS, self._outputs, strict=True):
            self._binding.bind_ortvalue_output(name, value)
        self._options = ort.RunOptions()
        if graph is not None:
            self._options.add_run_config_entry("gpu_graph_id", str(graph))

    def run(self, images: Uint8Array) -> list[Float32Array]:
        count = len(images)
        if images.shape[1:] != self._staging.shape[1:]:
            raise ValueError(f"invalid dimensions: {images.shape[1:]}, expected {self._staging.shape[1:]}")
        self._input.update_inplace(images if count == len(self._staging) else self._padded(images))
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding, self._options)
        self._binding.synchronize_outputs()
        # On the CPU, numpy() is a view of memory that the next call writes to.
        return [np.array(value.numpy()[:count]) for value in self._outputs]

    def _padded(self, images: Uint8Array) -> Uint8Array:
        self._staging[: len(images)] = images
        self._staging[len(images) :] = 0  # the outputs of a piece don't depend on what was run before it
        return self._staging
