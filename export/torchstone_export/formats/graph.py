"""Walks along the graph of an ONNX file."""

import onnx

from torchstone_runtime.bundle.manifest import METADATA_KEY, parse_requirements


def requirements(content: bytes) -> tuple[str, ...]:
    """Return the processor features of which a file needs one on the CPU, as its metadata says; () if it needs none."""
    properties = onnx.load_from_string(content).metadata_props
    return next((parse_requirements(item.value) for item in properties if item.key == METADATA_KEY), ())


def input_chain(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes of the normalisation: from the raw pixels to the tensor that the first layer takes."""
    chain: list[onnx.NodeProto] = []
    tensor = "images"
    while True:
        users = [node for node in graph.node if tensor in node.input]
        if len(users) != 1 or users[0].op_type not in ("Cast", "Mul", "Add", "Sub", "Div"):
            return chain
        chain.append(users[0])
        tensor = users[0].output[0]


def after_logits(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes that follow the logits: temperature and softmax."""
    reached, names = {"logits"}, []
    for node in graph.node:  # in topological order
        if reached.intersection(node.input):
            reached.update(node.output)
            names.append(node.name)
    return names
