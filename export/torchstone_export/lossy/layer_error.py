"""Where an int8 file loses precision, layer by layer."""

from collections.abc import Callable
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
_CHUNK_VALUES: Final = 1_000_000
"""Values of the images that are run at once: six of 224 x 224 in colour."""


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
    made = {output for node in exact.graph.node for output in node.output}
    pairs = {}
    for name in names:
        ours, theirs = float_nodes[name], int8_nodes.get(name)
        if theirs is not None and theirs.output[0] in made:
            pairs[name] = (ours.input[0], theirs.input[0], theirs.output[0], _rounded(rounded.graph, theirs.output[0]))
    compared = {pair for first, second, *last in pairs.values() for pair in ((first, second), tuple(last))}
    compared = {pair for pair in compared if pair[0] in made}  # the images themselves have no noise
    noise = _noise(exact, rounded, compared, images)
    weights = {item.name for item in rounded.graph.initializer}
    errors = []
    for name, (source, source_int8, target, target_int8) in pairs.items():
        out = noise[target, target_int8]
        added = out - noise.get((source, source_int8), 0.0)
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


def _noise(
    exact: onnx.ModelProto, rounded: onnx.ModelProto, pairs: set[tuple[str, str]], images: Uint8Array
) -> dict[tuple[str, str], float]:
    """Return the noise-to-signal ratio of each pair of tensors, over all images.

    A few images are run at a time: the maps of all layers together take a hundred times as much as the images.
    """
    run, run_rounded = (
        _reader(model, names) for model, names in zip((exact, rounded), map(set, zip(*pairs, strict=True)), strict=True)
    )
    signal, noise = dict.fromkeys(pairs, 0.0), dict.fromkeys(pairs, 0.0)
    step = max(1, _CHUNK_VALUES // int(np.prod(images.shape[1:])))
    for start in range(0, len(images), step):
        before, after = (read(images[start : start + step]) for read in (run, run_rounded))
        for first, second in pairs:
            signal[first, second] += float(np.square(before[first], dtype=np.float64).sum())
            noise[first, second] += float(np.square(before[first].astype(np.float64) - after[second]).sum())
    return {pair: noise[pair] / signal[pair] if signal[pair] else 0.0 for pair in pairs}


def _reader(model: onnx.ModelProto, names: set[str]) -> Callable[[Uint8Array], dict[str, npt.NDArray[Any]]]:
    """Return a function of images that gives the tensors of a model by name."""
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    present = {output.name for output in exposed.graph.output}
    for name in names - present:
        exposed.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session, wanted = open_session(exposed.SerializeToString(), ON_CPU).session, sorted(names)
    return lambda images: dict(zip(wanted, session.run(wanted, {"images": images}), strict=True))


def _decibels(noise: float) -> float:
    return _LARGEST_RATIO if noise <= 0 else min(_LARGEST_RATIO, float(-10 * np.log10(noise)))
