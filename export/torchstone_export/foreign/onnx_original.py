"""An ONNX file made elsewhere: what it takes and gives, and its answers."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import ModelProto, TensorProto, ValueInfoProto

from torchstone_export.foreign.batch_statistics import require_no_batch_statistics
from torchstone_export.foreign.model_spec import Layout, ModelSpec
from torchstone_export.foreign.onnx_external import LARGEST_FILE, embed_external_data
from torchstone_runtime.errors import BundleError, DataError, UsageError
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import accept_onnx_alone, open_session
from torchstone_runtime.inference.session_io import OrtSession
from torchstone_runtime.path_kinds.wanted import not_an_onnx_file
from torchstone_runtime.text import is_showable

_DTYPES: Final[dict[int, str]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}
_RANK: Final = 4
_SHAPING: Final = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast"})
_FATAL_ONLY: Final = 4


@dataclass(frozen=True, eq=False, slots=True)
class OnnxOriginal:
    """A file as it was given.

    Attributes:
        model: content of the file, with its weights inside.
        sha256: SHA-256 of the file (hex); producer: name of the program that wrote it, as the file gives it.
        input_name: name of the input for the images; dtype: its data type, `float32`, `float16`, `float64` or `uint8`.
        layout: order of the axes of the images.
        output_name: name of the class outputs.
        batch: number of images that a call takes; None: any.
        with_sigmoid: the file that this one was made from by taking its final sigmoid off; None: this is as given.
    """

    model: ModelProto
    sha256: str
    producer: str
    input_name: str
    dtype: str
    layout: Layout
    output_name: str
    batch: int | None
    with_sigmoid: "OnnxOriginal | None" = None

    def content(self) -> bytes:
        """Return the file's bytes, with its weights inside."""
        return bytes(self.model.SerializeToString())


def read_original(path: Path, spec: ModelSpec) -> OnnxOriginal:
    """Read an ONNX file and find its input and its class outputs.

    Raises:
        DataError: no such file, damaged, or not a classifier of images as the spec describes them.
        UsageError: the spec must say more.
    """
    if (other := not_an_onnx_file(path)) is not None:
        raise DataError(*other)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", "Give an existing ONNX file.") from error
    model = _parse(path, content)
    require_no_batch_statistics(model)
    _free_unknown_axes(model)
    embed_external_data(model, path)
    given = _single_input(path, model)
    dtype, dims = _input_type(given, spec)
    return OnnxOriginal(
        model=model,
        sha256=hashlib.sha256(content).hexdigest(),
        producer=_producer(model),
        input_name=given.name,
        dtype=dtype,
        layout=_layout(given.name, dims, spec),
        output_name=_output(model, spec),
        batch=dims[0] if dims and isinstance(dims[0], int) else None,
    )


def without_final_sigmoid(original: OnnxOriginal) -> OnnxOriginal | None:
    """Return the file with the sigmoid that its output comes from taken off; None where none does."""
    model = ModelProto()
    model.CopyFrom(original.model)
    makers = {name: node for node in model.graph.node for name in node.output}
    uses = Counter(name for node in model.graph.node for name in node.input)
    name = original.output_name
    while (node := makers.get(name)) is not None and uses[name] == (name != original.output_name):
        if node.op_type == "Sigmoid":
            node.op_type = "Identity"
            return replace(original, model=model, with_sigmoid=original)
        if node.op_type not in _SHAPING:
            break
        name = node.input[0]
    return None


class OriginalRunner:
    """Runs the file as it was given, through ONNX Runtime on the CPU.

    Args:
        original: the file.
        optimized: whether ONNX Runtime may fuse and rearrange its nodes, as it does by default.
    """

    def __init__(self, original: OnnxOriginal, *, optimized: bool) -> None:
        self._original = original
        content = original.content()
        try:
            self._session = open_session(content, ON_CPU).session if optimized else open_plain_session(content)
        except BundleError as error:
            raise DataError(error.problem, "It can only be adopted where ONNX Runtime runs it.") from error

    def run(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the class outputs for images (N, C, H, W) in the file's dtype and channel order."""
        arranged = images if self._original.layout == "NCHW" else np.moveaxis(images, 1, -1)
        size = self._original.batch or max(1, len(arranged))
        parts = [self._run_call(arranged[start : start + size], size) for start in range(0, len(arranged), size)]
        return np.concatenate(parts)

    def _run_call(self, images: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
        # A file with a fixed batch gets its number; the rest is filled with the last image and dropped.
        missing = size - len(images) if self._original.batch else 0
        filled = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        feed = {self._original.input_name: np.ascontiguousarray(filled)}
        outputs: npt.NDArray[Any] = np.asarray(self._session.run([self._original.output_name], feed)[0])
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


def _parse(path: Path, content: bytes) -> ModelProto:
    if len(content) > LARGEST_FILE:
        raise DataError(f"{path} has more than 2 GiB, which no ONNX file can have.")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own class, which onnx does not export
        raise DataError(f"{path} is not an ONNX file, or it is damaged.", "Copy or export it again.") from error
    if not model.graph.node or not model.opset_import:
        raise DataError(f"{path} is not an ONNX file, or it is empty: it has no nodes.", "Copy or export it again.")
    return model


def _free_unknown_axes(model: ModelProto) -> None:
    # Some converters write -1 or 0 for a size that is not known; ONNX states no size then.
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")


def _single_input(path: Path, model: ModelProto) -> ValueInfoProto:
    weights = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(f"'{item.name}'" for item in inputs) or "none"
        raise DataError(f"{path} has {len(inputs)} inputs ({names}); a classifier takes one: the images.")
    return cast("ValueInfoProto", inputs[0])


def _input_type(given: ValueInfoProto, spec: ModelSpec) -> tuple[str, list[int | str]]:
    kind = given.type.tensor_type
    dtype = _DTYPES.get(kind.elem_type)
    if not given.type.HasField("tensor_type") or dtype is None:
        raise DataError(f"The input '{given.name}' is not a tensor of float or uint8 numbers.")
    if spec.dtype is not None and dtype != spec.dtype:
        raise UsageError(f"The spec says dtype {spec.dtype}, but the file's input '{given.name}' is {dtype}.")
    if spec.dtype is None and dtype == "uint8":
        raise UsageError(
            f"The file's input '{given.name}' takes uint8 pixels, so it normalises them itself, but the spec "
            "gives mean and std.",
            'State dtype = "uint8" in the spec, and leave mean, std and pixel_range out.',
        )
    dims = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param for dim in kind.shape.dim]
    if kind.HasField("shape") and len(dims) != _RANK:
        raise DataError(
            f"The input '{given.name}' has {len(dims)} axes ({_shown(dims)}); images have 4: batch, channels, height, "
            "width, or channels last."
        )
    return dtype, dims


def _layout(name: str, dims: list[int | str], spec: ModelSpec) -> Layout:
    channels, height, width = spec.input
    layouts: dict[Layout, tuple[int, ...]] = {"NCHW": (channels, height, width), "NHWC": (height, width, channels)}
    fitting = [layout for layout, shape in layouts.items() if _fits(dims, shape)]
    if not fitting or (spec.layout is not None and spec.layout not in fitting):
        wanted = f" {spec.layout}" if spec.layout else ""
        raise UsageError(
            f"The file's input '{name}' is {_shown(dims)}; that is not{wanted} the spec's {channels} channels of "
            f"{height} x {width}.",
            "Correct input or layout in the spec.",
        )
    if spec.layout is None and len(fitting) > 1:
        raise UsageError(
            f"The file's input '{name}' is {_shown(dims)}: its layout can't be told from that.",
            'State layout = "NCHW" or "NHWC" in the spec.',
        )
    return spec.layout or fitting[0]


def _fits(dims: list[int | str], shape: tuple[int, ...]) -> bool:
    return all(not isinstance(dim, int) or dim == side for dim, side in zip(dims[1:], shape, strict=False))


def _output(model: ModelProto, spec: ModelSpec) -> str:
    names = [item.name for item in model.graph.output]
    if spec.output_name is not None:
        if spec.output_name not in names:
            raise UsageError(f"The file has no output '{spec.output_name}'.", f"It has: {', '.join(names)}.")
        return spec.output_name
    if len(names) != 1:
        raise UsageError(
            f"The file has {len(names)} outputs: {', '.join(names)}.", "Name the classes' one: output_name in the spec."
        )
    return str(names[0])


def _producer(model: ModelProto) -> str:
    text = " ".join(part for part in (model.producer_name, model.producer_version) if part)[:80]
    return text if text and is_showable(text) and "/" not in text else "an unnamed producer"


def _shown(dims: list[int | str]) -> str:
    return " x ".join(str(dim) or "?" for dim in dims) or "of no stated shape"
