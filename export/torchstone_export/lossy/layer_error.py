"""Where an int8 file loses precision, layer by layer."""

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx

from torchstone_export.lossy.int8_file import layer_names
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.inference.load_options import ON_CPU
from torchstone_runtime.inference.providers import open_session

_LARGEST_RATIO: Final = 200.0
"""Decibels that stand for "no error at all"."""


@dataclass(frozen=True, slots=True)
class LayerError:
    """The error that has gathered at a layer's output.

    Attributes:
        node: name of the node in the graph; layer: name of its weights.
        sqnr_db: signal to quantisation noise of its output, 10 log10(sum x² / sum (x - y)²), in decibels.
        added: noise-to-signal ratio of its output minus that of its input: what the layer itself adds, or takes away.
        quantized: whether the layer was quantised; else it was kept in float.
    """

    node: str
    layer: str
    sqnr_db: float
    added: float
    quantized: bool

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON data."""
        return asdict(self)


def layer_errors(content: bytes, quantized: bytes, images: Uint8Array) -> list[LayerError]:
    """Compare what goes in and out of each layer with weights in a float file and in its int8 form.

    Args:
        content: the float file.
        quantized: its int8 file in the form `qdq`, in which nodes and tensors keep their names.
        images: uint8 (N, C, H, W).

    Returns:
        One entry a layer, in graph order.
    """
    names = layer_names(content)
    exact, rounded = onnx.load_from_string(content), onnx.load_from_string(quantized)
    float_nodes = {node.name: node for node in exact.graph.node}
    int8_nodes = {node.name: node for node in rounded.graph.node}
    known = {output for node in exact.graph.node for output in node.output}
    pairs = {}
    for name in names:
        ours, theirs = float_nodes[name], int8_nodes.get(name)
        if theirs is not None and theirs.output[0] in known:
            pairs[name] = (ours.input[0], theirs.input[0], theirs.output[0], _rounded(rounded.graph, theirs.output[0]))
    before = _tensors(exact, {tensor for first, _, last, _ in pairs.values() for tensor in (first, last)}, images)
    after = _tensors(rounded, {tensor for _, first, _, last in pairs.values() for tensor in (first, last)}, images)
    weights = {item.name for item in rounded.graph.initializer}
    errors = []
    for name, (source, source_int8, target, target_int8) in pairs.items():
        out = _noise(before[target], after[target_int8])
        added = out - (_noise(before[source], after[source_int8]) if source in before else 0.0)
        is_float = int8_nodes[name].input[1] in weights
        errors.append(LayerError(name, names[name], _decibels(out), added, not is_float))
    return errors


def worst_layers(errors: list[LayerError], count: int) -> list[LayerError]:
    """Return the quantised layers that add most noise, the worst first; fewer than `count` where no more are."""
    quantized = [error for error in errors if error.quantized]
    return sorted(quantized, key=lambda error: error.added, reverse=True)[:count]


def _rounded(graph: onnx.GraphProto, tensor: str) -> str:
    # The tensor as it goes on: cut to 8 bits, which also does the work of a ReLU that the quantiser left out.
    for kind in ("QuantizeLinear", "DequantizeLinear"):
        user = next((node for node in graph.node if node.op_type == kind and node.input[0] == tensor), None)
        if user is None:
            return tensor
        tensor = user.output[0]
    return tensor


def _tensors(model: onnx.ModelProto, names: set[str], images: Uint8Array) -> dict[str, npt.NDArray[Any]]:
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    present = {output.name for output in exposed.graph.output}
    made = {output for node in exposed.graph.node for output in node.output}
    wanted = sorted(names & made)
    for name in wanted:
        if name not in present:
            exposed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = open_session(exposed.SerializeToString(), ON_CPU).session
    return dict(zip(wanted, session.run(wanted, {"images": images}), strict=True))


def _noise(exact: npt.NDArray[Any], rounded: npt.NDArray[Any]) -> float:
    signal = float(np.square(exact, dtype=np.float64).sum())
    noise = float(np.square(exact.astype(np.float64) - rounded).sum())
    return noise / signal if signal else 0.0


def _decibels(noise: float) -> float:
    return _LARGEST_RATIO if noise <= 0 else min(_LARGEST_RATIO, float(-10 * np.log10(noise)))
