"""Finding where an ONNX file has lost its batch axis, so that a person knows what to fix."""

from collections.abc import Iterator, Mapping

import onnx
from onnx import TensorProto, numpy_helper

_BATCH = "batch"


def find_frozen_batch(content: bytes) -> list[str]:
    """Name inputs, outputs and nodes of an ONNX file whose batch axis is a fixed number.

    A node is named where its input varies with the batch and its output has none but fixed sizes, as a Reshape to
    constants does. Nodes are looked for by shape inference, so a list can be incomplete.

    Returns:
        A sentence each; empty where nothing was found.
    """
    model = onnx.load_from_string(content)
    found = [_declared("input", value) for value in model.graph.input]
    found += [_declared("output", value) for value in model.graph.output]
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
    inferred = _infer(model)
    return [sentence for sentence in found if sentence] + list(_losing_nodes(inferred))


def _declared(kind: str, value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    if dims and dims[0].HasField("dim_value"):
        return f"the {kind} '{value.name}' is declared with a batch of {dims[0].dim_value} and no other"
    return ""


def _infer(model: onnx.ModelProto) -> onnx.ModelProto:
    # What the file says about its inner values may be what is wrong with it.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return model


def _losing_nodes(model: onnx.ModelProto) -> Iterator[str]:
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    dims = {value.name: list(value.type.tensor_type.shape.dim) for value in values if _has_floats(value)}
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        varying = any(any(dim.dim_param for dim in dims.get(name, ())) for name in node.input)
        sizes = [dims[name] for name in node.output if dims.get(name)]
        if varying and any(all(dim.HasField("dim_value") for dim in shape) for shape in sizes):
            shape = [dim.dim_value for dim in sizes[0]]
            yield f"{_describe(node, constants)} makes {shape} of every batch: its batch axis is frozen or summed away"


def _has_floats(value: onnx.ValueInfoProto) -> bool:
    # Shapes and indices are int64 and have, rightly, no batch axis.
    return value.type.tensor_type.elem_type not in (TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)


def _describe(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
    target = constants.get(node.input[1]) if node.op_type in ("Reshape", "Expand") and len(node.input) > 1 else None
    to = f" to the constant shape {numpy_helper.to_array(target).tolist()}" if target is not None else ""
    return f"the node {node.op_type} '{node.name or node.output[0]}'{to}"
