"""The ONNX file of a cascade: the files of both models in one graph, and the few nodes that route between them.

Each model keeps its own nodes, told apart by a prefix, so that a cascade can be taken apart again: its models are
quantised one by one, each calibrated on all images and not on those alone that reach it.
"""

from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from torchstone_export.cascade.confidence_cascade import Routing
from torchstone_export.formats.graph import after_logits, requirements
from torchstone_export.formats.onnx_file import IR_VERSION
from torchstone_runtime.bundle.manifest import METADATA_KEY, require_any

FAST: Final = "fast/"
ACCURATE: Final = "accurate/"
_FIXED: Final = "routing/"


def join(fast: bytes, accurate: bytes, routing: Routing, temperature: float, essentials: str) -> bytes:
    """Return one ONNX file of two; the same arguments give the same bytes.

    Args:
        fast: a file with input `images` and output `logits`; what follows its logits is left out.
        accurate: file of the other model, with the same outputs, for the same classes and images.
        routing: rule that says which model answers which image.
        temperature: temperature that the logits are divided by before the softmax.
        essentials: the file's metadata.
    """
    constants = _constants(routing, temperature, _classes(onnx.load_from_string(fast).graph))
    return _assemble(fast, accurate, [_before(routing), _after(routing)], constants, essentials)


def rejoin(cascade: bytes, fast: bytes, accurate: bytes) -> bytes:
    """Return a cascade with other files in place of its two models'.

    Args:
        cascade: a file of `join`, whose routing and metadata are kept.
        fast: a file as for `join`; what its metadata requires of the processor, the cascade's will.
        accurate: file as for `join`, of which the same holds.
    """
    model = onnx.load_from_string(cascade)
    names = [node.name for node in model.graph.node]
    end = next(position for position, name in enumerate(names) if name.startswith(ACCURATE))
    glue = [(position, node) for position, node in enumerate(model.graph.node) if node.name.startswith(_FIXED)]
    before, after = [node for at, node in glue if at < end], [node for at, node in glue if at > end]
    constants = [item for item in model.graph.initializer if item.name.startswith(_FIXED)]
    needed = {feature for part in (fast, accurate) for feature in requirements(part)}
    essentials = _essentials(cascade)
    if needed:
        essentials = require_any(essentials, tuple(sorted(needed)))
    return _assemble(fast, accurate, [before, after], constants, essentials)


def _assemble(
    fast: bytes,
    accurate: bytes,
    glue: list[list[onnx.NodeProto]],
    constants: list[TensorProto],
    essentials: str,
) -> bytes:
    quick, slow = _part(fast, FAST), _part(accurate, ACCURATE)
    _rename(quick.graph, f"{FAST}images", "images")
    before, after = glue
    graph = helper.make_graph(
        [*quick.graph.node, *before, *slow.graph.node, *after],
        "torchstone",
        [quick.graph.input[0]],
        [_output(quick.graph, "logits"), _output(quick.graph, "probabilities")],
        [*quick.graph.initializer, *slow.graph.initializer, *constants],
    )
    opsets = {item.domain: item.version for part in (slow, quick) for item in part.opset_import}
    imports = [helper.make_opsetid(domain, opsets[domain]) for domain in sorted(opsets)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="torchstone")
    helper.set_model_props(model, {METADATA_KEY: essentials})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _essentials(content: bytes) -> str:
    properties = onnx.load_from_string(content).metadata_props
    return next(str(item.value) for item in properties if item.key == METADATA_KEY)


def split(content: bytes) -> tuple[bytes, bytes] | None:
    """Return the files of the fast and the accurate model of a cascade, each with softmax; None of any other file."""
    model = onnx.load_from_string(content)
    if not any(node.name.startswith(ACCURATE) for node in model.graph.node):
        return None
    return _extract(model, FAST), _extract(model, ACCURATE)


def _part(content: bytes, prefix: str) -> onnx.ModelProto:
    model = onnx.load_from_string(content)
    last = set(after_logits(model.graph))
    for node in [node for node in model.graph.node if node.name in last]:
        model.graph.node.remove(node)
    outputs = [item for item in model.graph.output if item.name == "logits"]
    del model.graph.output[:], model.graph.value_info[:]
    model.graph.output.extend(outputs)
    return compose.add_prefix(model, prefix)


def _before(routing: Routing) -> list[onnx.NodeProto]:
    # From the fast model's logits to the pictures that the accurate one is given.
    nodes = [
        _node("Softmax", [f"{FAST}logits"], "certainties", axis=1),
        _node("ReduceMax", [f"{_FIXED}certainties", f"{_FIXED}classes"], "confidence", keepdims=0),
        _node("Less", [f"{_FIXED}confidence", f"{_FIXED}threshold"], "is_unsure"),
        _node("NonZero", [f"{_FIXED}is_unsure"], "row"),
        _node("Transpose", [f"{_FIXED}row"], "indices", perm=[1, 0]),
        _node("Squeeze", [f"{_FIXED}row", f"{_FIXED}first"], "rows"),
    ]
    if not routing.mirror:
        return [*nodes, _node("Gather", ["images", f"{_FIXED}rows"], f"{ACCURATE}images", axis=0)]
    ends = [f"{_FIXED}{name}" for name in ("last", "before_first", "width", "backwards")]
    return [
        *nodes,
        _node("Gather", ["images", f"{_FIXED}rows"], "unsure_images", axis=0),
        _node("Slice", [f"{_FIXED}unsure_images", *ends], "mirror_images"),
        _node("Concat", [f"{_FIXED}unsure_images", f"{_FIXED}mirror_images"], f"{ACCURATE}images", axis=0),
    ]


def _after(routing: Routing) -> list[onnx.NodeProto]:
    slow, nodes = f"{ACCURATE}logits", []
    if routing.mirror:
        slow = f"{_FIXED}mean_logits"
        nodes = [
            _node("Reshape", [f"{ACCURATE}logits", f"{_FIXED}views"], "logits_of_views"),
            _node("ReduceMean", [f"{_FIXED}logits_of_views", f"{_FIXED}first"], "mean_logits", keepdims=0),
        ]
    return [
        *nodes,
        _node("Gather", [f"{FAST}logits", f"{_FIXED}rows"], "unsure_logits", axis=0),
        _node("Gather", [f"{_FIXED}confidence", f"{_FIXED}rows"], "unsure_confidence", axis=0),
        _node("Sub", [f"{_FIXED}threshold", f"{_FIXED}unsure_confidence"], "distance"),
        _node("Div", [f"{_FIXED}distance", f"{_FIXED}blend"], "share_unclipped"),
        _node("Clip", [f"{_FIXED}share_unclipped", f"{_FIXED}zero", f"{_FIXED}one"], "share"),
        _node("Unsqueeze", [f"{_FIXED}share", f"{_FIXED}classes"], "share_column"),
        _node("Sub", [slow, f"{_FIXED}unsure_logits"], "difference"),
        _node("Mul", [f"{_FIXED}share_column", f"{_FIXED}difference"], "change"),
        _node("Add", [f"{_FIXED}unsure_logits", f"{_FIXED}change"], "mixed"),
        _node("ScatterND", [f"{FAST}logits", f"{_FIXED}indices", f"{_FIXED}mixed"], "logits"),
        _node("Div", ["logits", f"{_FIXED}temperature"], "scaled"),
        _node("Softmax", [f"{_FIXED}scaled"], "probabilities", axis=1),
    ]


def _node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 - ONNX's
    name = f"{_FIXED}{output.removeprefix(ACCURATE)}"
    made = output if output in ("logits", "probabilities", f"{ACCURATE}images") else name
    return helper.make_node(kind, inputs, [made], name=name, **attributes)


def _constants(routing: Routing, temperature: float, classes: int) -> list[TensorProto]:
    floats = {"threshold": routing.threshold, "blend": routing.blend, "temperature": temperature, "zero": 0, "one": 1}
    values = {name: np.array(value, np.float32) for name, value in floats.items()}
    values |= {"classes": np.array([1]), "first": np.array([0])}
    if routing.mirror:
        lowest = np.iinfo(np.int64).min  # a slice that goes backwards ends before the first column
        values |= {"width": np.array([3]), "last": np.array([-1]), "before_first": np.array([lowest])}
        values |= {"backwards": np.array([-1]), "views": np.array([2, -1, classes])}
    return [numpy_helper.from_array(value, f"{_FIXED}{name}") for name, value in values.items()]


def _output(graph: onnx.GraphProto, name: str) -> onnx.ValueInfoProto:
    batch = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, _classes(graph)])


def _classes(graph: onnx.GraphProto) -> int:
    return int(graph.output[0].type.tensor_type.shape.dim[1].dim_value)


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    graph.input[0].name = new
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = new


def _extract(model: onnx.ModelProto, prefix: str) -> bytes:
    part = onnx.ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    for field in (graph.node, graph.initializer, graph.value_info, graph.output):
        del field[:]
    for node in model.graph.node:
        if node.name.startswith(prefix):
            graph.node.append(node)
    graph.initializer.extend(item for item in model.graph.initializer if item.name.startswith(prefix))
    _rename(graph, f"{prefix}images", "images")
    for node in graph.node:
        node.name = node.name.removeprefix(prefix)
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                names[position] = name.removeprefix(prefix)
    for item in graph.initializer:
        item.name = item.name.removeprefix(prefix)
    graph.node.append(helper.make_node("Softmax", ["logits"], ["probabilities"], name="node_softmax", axis=1))
    graph.output.extend(model.graph.output)
    onnx.checker.check_model(part, full_check=True)
    return bytes(part.SerializeToString(deterministic=True))
