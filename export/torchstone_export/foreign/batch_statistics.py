"""Operators of an ONNX file that look at all images of a batch, so that an answer depends on its neighbours."""

from collections.abc import Iterable, Iterator
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, numpy_helper

from torchstone_runtime.errors import DataError

_DYNAMIC: Final = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
_REDUCING: Final = ("Reduce", "ArgMax", "ArgMin")


def require_no_batch_statistics(model: ModelProto) -> None:
    """Check that a file has no operator that always takes its scale from the whole batch.

    Raises:
        DataError: it is quantised dynamically, or its batch norm is in training mode.
    """
    for node in _all_nodes(model):
        if node.op_type in _DYNAMIC:
            raise DataError(
                f"The file is quantised dynamically: the node {_named(node)} takes the range of its numbers from all "
                "images of a call, so that the answer for an image depends on the images beside it.",
                "Adopt the file from before the quantisation, or one that is quantised statically, with fixed ranges "
                "(QuantizeLinear).",
            )
        if node.op_type == "BatchNormalization" and any(
            item.name == "training_mode" and item.i for item in node.attribute
        ):
            raise DataError(
                f"The file was exported in training mode: the node {_named(node)} normalises by the mean and variance "
                "of the batch, so that the answer for an image depends on the images beside it.",
                "Export it again after model.eval().",
            )


def find_batch_reductions(model: ModelProto) -> list[str]:
    """Name nodes that reduce over axis 0, which is the batch in most places."""
    constants = {
        item.name: numpy_helper.to_array(item).tolist() for item in model.graph.initializer if _is_small(item.dims)
    }
    return [
        _named(node)
        for node in _all_nodes(model)
        if node.op_type.startswith(_REDUCING) and _over_batch(node, constants)
    ]


def _over_batch(node: NodeProto, constants: dict[str, list[int]]) -> bool:
    attributes = {item.name: item for item in node.attribute}
    if node.op_type.startswith("Arg"):
        return "axis" not in attributes or attributes["axis"].i == 0
    if "axes" in attributes:
        return 0 in attributes["axes"].ints
    if len(node.input) > 1 and node.input[1]:
        axes = constants.get(node.input[1], [])
        return 0 in (axes if isinstance(axes, list) else [axes])
    return True


def _is_small(dims: Iterable[int]) -> bool:
    return list(dims) == [] or (len(list(dims)) == 1 and next(iter(dims)) <= 8)  # noqa: PLR2004 - axes of a tensor


def _named(node: NodeProto) -> str:
    return f"{node.op_type} '{node.name or node.output[0]}'"


def _all_nodes(model: ModelProto) -> Iterator[NodeProto]:
    yield from _nodes(model.graph.node)
    for function in model.functions:
        yield from _nodes(function.node)


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            graphs: list[GraphProto] = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            for graph in graphs:
                yield from _nodes(graph.node)
