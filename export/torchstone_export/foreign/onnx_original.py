"""An ONNX file made elsewhere: what it takes and gives."""

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

import onnx
from onnx import ModelProto, TensorProto, ValueInfoProto

from torchstone_export.foreign.batch_statistics import require_no_batch_statistics
from torchstone_export.foreign.model_spec import Layout, ModelSpec
from torchstone_export.foreign.onnx_external import LARGEST_FILE, embed_external_data
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.path_kinds.wanted import not_an_onnx_file
from torchstone_runtime.text import is_showable

_DTYPES: Final[dict[int, str]] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
}
_USUAL_OUTPUT: Final = "logits"
_RANK: Final = 4
_SHAPING: Final = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast"})


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
    output_name = _output(model, spec)
    return OnnxOriginal(
        model=model,
        sha256=hashlib.sha256(content).hexdigest(),
        producer=_producer(model),
        input_name=given.name,
        dtype=dtype,
        layout=_layout(given.name, dims, spec),
        output_name=output_name,
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
    name = _output_name(names, spec)
    kind = model.graph.output[names.index(name)].type
    known = kind.WhichOneof("value") is not None
    if known and (not kind.HasField("tensor_type") or kind.tensor_type.elem_type == TensorProto.STRING):
        raise DataError(
            f"The output '{name}' holds text, or a sequence or map, and no tensor of numbers.",
            "Name another output (output_name), or convert again: skl2onnx with options={'zipmap': False} gives "
            "probabilities as one tensor.",
        )
    return name


def _output_name(names: list[str], spec: ModelSpec) -> str:
    if spec.output_name is not None:
        if spec.output_name not in names:
            raise UsageError(f"The file has no output '{spec.output_name}'.", f"It has: {', '.join(names)}.")
        return spec.output_name
    if _USUAL_OUTPUT in names:
        return _USUAL_OUTPUT
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
