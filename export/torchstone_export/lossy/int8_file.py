"""The int8 file: a float ONNX file with 8-bit weights and activations.

The quantiser is ONNX Runtime's. Three things are done around it, each measured in docs/how-to/lossy-variants.md: raw
pixels enter the first layer as they are (they are 8-bit numbers already), the logits stay float, and so does all
after them.
"""

import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
from onnx import numpy_helper

from torchstone_export.formats.graph import after_logits, input_chain
from torchstone_export.formats.onnx_file import strip_traces
from torchstone_export.lossy.ort_tools import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.manifest import METADATA_KEY, require_any
from torchstone_runtime.system.cpu import INT8_FEATURES
from torchstone_runtime.system.thread_output import own_output_to

CALIBRATIONS: Final[dict[str, tuple[CalibrationMethod, dict[str, Any]]]] = {
    "minmax": (CalibrationMethod.MinMax, {}),
    "entropy": (CalibrationMethod.Entropy, {}),
    "percentile-99.999": (CalibrationMethod.Percentile, {"CalibPercentile": 99.999}),
    "percentile-99.99": (CalibrationMethod.Percentile, {"CalibPercentile": 99.99}),
}
LAYERS: Final = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operators with weights: what is quantised for its own sake, and can be kept in float by name."""
_QUANTISED: Final = [*LAYERS, "Add", "AveragePool", "Clip", "Concat", "Flatten", "GlobalAveragePool", "MaxPool"]
_QUANTISED.extend(("Pad", "Relu", "Reshape", "Squeeze", "Transpose", "Unsqueeze"))
_PRE_PROCESSED: Final = ("onnx.quant.pre_process", "onnxruntime.quant")
"""Tells the quantiser that the graph is optimised already (the exporter folds batch norm), which saves a warning."""
_BATCH: Final = 32
_CHUNK_PIXELS: Final = 1_000_000
"""Of the images whose activations are held at once; the ranges are merged from chunk to chunk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Config:
    """How a file is quantised.

    Attributes:
        calibration: method that finds the ranges of activations, a key of `CALIBRATIONS`.
        activations: 8-bit type of the activations; weights are always signed.
        form: `qdq`: float operators between Quantize and Dequantize, which ONNX Runtime fuses as it loads them;
            `qoperator`: integer operators.
        folded_input: whether raw pixels enter a first layer in 8 bits, without the normalisation in float.
        weight_bits: 8, or 7 for processors whose 16-bit sums of two products would saturate.
        float_layers: nodes that stay float.
    """

    calibration: str = "minmax"
    activations: Literal["uint8", "int8"] = "uint8"
    form: Literal["qdq", "qoperator"] = "qdq"
    folded_input: bool = False
    weight_bits: Literal[7, 8] = 8
    float_layers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the configuration as JSON data."""
        return asdict(self) | {"float_layers": list(self.float_layers)}

    def __str__(self) -> str:
        kept = f", {len(self.float_layers)} layers in float" if self.float_layers else ""
        pixels = ", pixels as they are" if self.folded_input else ""
        return f"{self.calibration}, {self.activations} activations, {self.form}{pixels}{kept}"


@dataclass(frozen=True, slots=True)
class PixelScale:
    """What a normalised pixel is: `scale * (pixel - zero_point)`, and the nodes that compute it from raw ones."""

    tensor: str
    nodes: tuple[str, ...]
    scale: float
    zero_point: int


def quantize(content: bytes, images: Uint8Array, config: Int8Config) -> bytes:
    """Return an ONNX file in 8 bits; the same arguments give the same bytes.

    Args:
        content: a file of `export_onnx`.
        images: uint8 (N, C, H, W), for calibration.
        config: settings of the quantisation.

    Raises:
        ValueError: `folded_input` for a model whose normalisation differs between channels.
    """
    model = onnx.load_from_string(content)
    essentials = {item.key: item.value for item in model.metadata_props}[METADATA_KEY]
    pixels = pixel_scale(model)
    if config.folded_input and pixels is None:
        raise ValueError("the normalisation is not one scale and one whole zero point for all channels")
    onnx.helper.set_model_props(model, {METADATA_KEY: essentials, _PRE_PROCESSED[0]: _PRE_PROCESSED[1]})
    quantized = onnx.load_from_string(_run_quantizer(model, images, config, pixels))
    _keep_logits_float(quantized.graph)
    if config.folded_input and pixels is not None:
        _enter_raw(quantized.graph, pixels)
    quantized.producer_name, quantized.producer_version, quantized.doc_string = "torchstone", "", ""
    strip_traces(quantized.graph)
    if config.weight_bits == 8:  # noqa: PLR2004 - 7 bits are made for processors without the features
        essentials = require_any(essentials, INT8_FEATURES)
    onnx.helper.set_model_props(quantized, {METADATA_KEY: essentials})
    return bytes(quantized.SerializeToString(deterministic=True))


def pixel_scale(model: onnx.ModelProto) -> PixelScale | None:
    """Return how pixels are normalised, or None where they can't enter as they are.

    That takes one affine map of all channels onto 0 to 255, and a layer with weights that is given its result.
    """
    values = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    chain = input_chain(model.graph)
    if [node.op_type for node in chain] != ["Cast", "Mul", "Add"] or not _feeds_layers(model.graph, chain[-1]):
        return None
    factor, offset = (values.get(node.input[1]) for node in chain[1:])
    if factor is None or offset is None or np.ptp(factor) or np.ptp(offset):
        return None
    scale, shift = float(factor.flat[0]), float(offset.flat[0])
    zero_point = round(-shift / scale) if scale > 0 else -1
    if not 0 <= zero_point <= np.iinfo(np.uint8).max:
        return None
    return PixelScale(chain[-1].output[0], tuple(node.name for node in chain), scale, zero_point)


def pixel_scale_of(content: bytes) -> PixelScale | None:
    """Return `pixel_scale` of a file."""
    return pixel_scale(onnx.load_from_string(content))


def layer_names(content: bytes) -> dict[str, str]:
    """Return the nodes with weights in graph order: node name to the name of its weights."""
    graph = onnx.load_from_string(content).graph
    return {
        node.name: (node.input[1].removesuffix(".weight") if len(node.input) > 1 else node.name)
        for node in graph.node
        if node.op_type in LAYERS
    }


def _run_quantizer(model: onnx.ModelProto, images: Uint8Array, config: Int8Config, pixels: PixelScale | None) -> bytes:
    method, options = CALIBRATIONS[config.calibration]
    if config.folded_input and pixels is not None:
        exact = {
            "quant_type": QuantType.QUInt8,
            "scale": np.array(pixels.scale, np.float32),
            "zero_point": np.array(pixels.zero_point, np.uint8),
        }
        options = options | {"TensorQuantOverrides": {pixels.tensor: [exact]}}
    chunk = max(1, _CHUNK_PIXELS // int(np.prod(images.shape[1:])))
    if chunk < len(images):
        options = options | {"CalibStridedMinMax": chunk}  # it serves the other methods as well
    kept = [*(node.name for node in input_chain(model.graph)), *after_logits(model.graph), *config.float_layers]
    with tempfile.TemporaryDirectory(prefix="torchstone-int8-") as folder, own_output_to(None, "stdout"):
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save_model(model, source)
        quantize_static(
            source,
            target,
            _Reader(images, chunk),
            quant_format=QuantFormat.QDQ if config.form == "qdq" else QuantFormat.QOperator,
            op_types_to_quantize=_QUANTISED,
            per_channel=True,
            reduce_range=config.weight_bits < 8,  # noqa: PLR2004 - the option means 7 bits
            activation_type=QuantType.QUInt8 if config.activations == "uint8" else QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            calibrate_method=method,
            extra_options=options,
        )
        return target.read_bytes()


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    def __init__(self, images: Uint8Array, chunk: int) -> None:
        self._images, self._chunk = images, chunk
        self.set_range(0, len(images))

    def __len__(self) -> int:
        # The quantiser takes whole chunks only: the last one is as short as the images that are left.
        return math.ceil(len(self._images) / self._chunk) * self._chunk

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give the images from one index to another, exclusive, next."""
        end = min(end_index, len(self._images))
        self._batches = (
            np.ascontiguousarray(self._images[start : min(start + _BATCH, end)])
            for start in range(start_index, end, _BATCH)
        )

    def get_next(self) -> dict[str, Uint8Array] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def _feeds_layers(graph: onnx.GraphProto, node: onnx.NodeProto) -> bool:
    # What only moves values, such as Flatten, is quantised by its result: nothing is there to be entered raw.
    return all(user.op_type in LAYERS for user in graph.node if node.output[0] in user.input)


def _keep_logits_float(graph: onnx.GraphProto) -> None:
    # 256 levels for the logits alone cost more agreement than all else; the last product is 32-bit sums anyway.
    producers = {output: node for node in graph.node for output in node.output}
    last = producers["logits"]
    before = producers.get(last.input[0]) if last.op_type == "DequantizeLinear" else None
    if before is not None and before.op_type == "QuantizeLinear":
        producers[before.input[0]].output[0] = "logits"
        graph.node.remove(before)
        graph.node.remove(last)
    elif before is not None and before.op_type == "QGemm":
        before.output[0] = "logits"
        del before.input[-2:]  # without scale and zero point of the output, it is float
        graph.node.remove(last)


def _enter_raw(graph: onnx.GraphProto, pixels: PixelScale) -> None:
    takers = (node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] == pixels.tensor)
    quantizer = next(takers, None)
    if quantizer is None:  # every layer that takes pixels stays float
        return
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == quantizer.output[0]:
                node.input[position] = "images"
    for node in [node for node in graph.node if node.name in (*pixels.nodes, quantizer.name)]:
        graph.node.remove(node)
