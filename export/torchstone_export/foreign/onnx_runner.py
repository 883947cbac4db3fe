"""An ONNX file made elsewhere, run by ONNX Runtime."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from torchstone_export.foreign.onnx_half import in_float32
from torchstone_export.foreign.onnx_original import OnnxOriginal
from torchstone_runtime.errors import BundleError, DataError
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import accept_onnx_alone, open_session
from torchstone_runtime.inference.session_io import OrtSession

_FATAL_ONLY: Final = 4


class OriginalRunner:
    """Runs the file as it was given, through ONNX Runtime on the CPU.

    Args:
        original: the file.
        optimized: whether ONNX Runtime may fuse and rearrange its nodes, as it does by default.
    """

    def __init__(self, original: OnnxOriginal, *, optimized: bool) -> None:
        self._original = original
        self._form = in_float32(original.model, original.input_name, original.output_name, original.layout)
        content = bytes(self._form.model.SerializeToString())
        try:
            self._session = open_session(content, ON_CPU).session if optimized else open_plain_session(content)
        except BundleError as error:
            raise DataError(error.problem, "It can only be adopted where ONNX Runtime runs it.") from error

    @property
    def is_half(self) -> bool:
        """Whether the file itself gives numbers of 16 bits."""
        return self._form.output_name != self._original.output_name

    def run(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the class outputs for images (N, C, H, W) in the file's dtype and channel order.

        What the file takes or gives in 16 bits is float32 here (see `in_float32`).
        """
        arranged = images if self._form.layout == "NCHW" else np.moveaxis(images, 1, -1)
        size = self._original.batch or max(1, len(arranged))
        parts = [self._run_call(arranged[start : start + size], size) for start in range(0, len(arranged), size)]
        return np.concatenate(parts)

    def _run_call(self, images: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
        # A file with a fixed batch gets its number; the rest is filled with the last image and dropped.
        missing = size - len(images) if self._original.batch else 0
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        feed = {self._form.input_name: np.ascontiguousarray(filled)}
        outputs: npt.NDArray[Any] = np.asarray(self._session.run([self._form.output_name], feed)[0])
        if outputs.ndim == 0:  # one number of one image, whose batch axis was squeezed away
            outputs = outputs.reshape(1)
        return outputs[: len(images)] if missing else outputs


def open_plain_session(content: bytes) -> OrtSession:
    """Return a session on the CPU without graph optimisations, which says nothing of a call that fails."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    accept_onnx_alone(options)
    session: OrtSession = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session
