"""Model files run as production runs them: all usable processors, micro-batches of the production size."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import onnxruntime as ort

from torchstone_export.run_over import LARGE_BATCH, run_over_split
from torchstone_runtime.arrays import Float32Array, Uint8Array
from torchstone_runtime.data.split import Split
from torchstone_runtime.inference.engine import Engine, Outputs, make_engine
from torchstone_runtime.inference.load_options import LoadOptions
from torchstone_runtime.inference.providers import accept_onnx_alone, open_session
from torchstone_runtime.inference.session_io import INPUT, OrtSession
from torchstone_runtime.system.openvino import Precision


@contextmanager
def serving(content: bytes, num_classes: int, provider: str = "cpu", precision: Precision = "fp32") -> Iterator[Engine]:
    """Give an engine as `Classifier` makes it, and end its threads.

    Args:
        content: an ONNX file.
        num_classes: number of classes.
        provider: provider as in `LoadOptions`.
        precision: precision as in `LoadOptions`.
    """
    options = LoadOptions(provider=provider, precision=precision)
    with closing(make_engine(open_session(content, options), num_classes)) as engine:
        yield engine


def run_split(
    content: bytes, split: Split, num_classes: int, provider: str = "cpu", precision: Precision = "fp32"
) -> Outputs:
    """Return logits and probabilities, float32 [N, K], of a file over a whole split."""
    with serving(content, num_classes, provider, precision) as engine:
        return run_over_split(split, LARGE_BATCH, engine.run, "running")


def run_unfused(content: bytes, images: Uint8Array) -> Float32Array:
    """Return the logits of a file that ONNX Runtime runs node by node, as written: other kernels, another order."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    accept_onnx_alone(options)
    session: OrtSession = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    logits: Float32Array = session.run(["logits"], {INPUT: images})[0]
    return logits
