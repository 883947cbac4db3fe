"""A bundle whose model takes as long as a test wants, or forever."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import onnx
from onnx import TensorProto, helper

EditManifest = Callable[[Path, Callable[[dict[str, object]], object]], None]


def slow_model(model: onnx.ModelProto, *, side: int, times: int) -> bytes:
    """Return the model with so many products of matrices of that side before its first output, which stays the same."""
    graph = model.graph
    first = graph.node[0].input[0]
    shape = helper.make_tensor("slow_shape", TensorProto.INT64, [2], [side, side])
    names = [f"slow_{index}" for index in range(times + 1)]
    graph.initializer.append(shape)
    before = [
        helper.make_node("Cast", [first], ["slow_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMin", ["slow_float"], ["slow_small"], keepdims=0),
        helper.make_node("Expand", ["slow_small", "slow_shape"], [names[0]]),
        *(helper.make_node("MatMul", [one, names[0]], [two]) for one, two in pairwise(names)),
        helper.make_node("ReduceMax", [names[-1]], ["slow_end"], keepdims=0),
    ]
    nodes = [*before, *graph.node]
    added = helper.make_node("Mean", ["logits", "slow_end"], ["slow_mean"])
    output = next(index for index, node in enumerate(nodes) if "logits" in node.output)
    nodes.insert(output + 1, added)
    del graph.node[:]
    graph.node.extend(nodes)
    graph.output.append(helper.make_tensor_value_info("slow_mean", TensorProto.FLOAT, None))
    return bytes(model.SerializeToString())


def make_slow(bundle: Path, edit_manifest: EditManifest, *, side: int, times: int) -> Path:
    """Put a slow model into a bundle, with the hash that belongs to it."""
    path = bundle / "model.onnx"
    path.write_bytes(slow_model(onnx.load(path), side=side, times=times))
    edit_manifest(bundle, lambda _: None)
    return bundle
