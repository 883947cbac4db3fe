"""Nodes of an ONNX graph that follow one another."""

from typing import Any

import numpy.typing as npt
from onnx import NodeProto, helper, numpy_helper

Step = tuple[str, list[NodeProto], dict[str, Any]]
"""An operator, the constants that are its further inputs, and its attributes."""


def constant(name: str, value: npt.NDArray[Any]) -> NodeProto:
    """Return a node that gives a value of that name."""
    return helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(value, name))


def chain(stage: str, source: str, steps: list[Step], target: str) -> list[NodeProto]:
    """Return the nodes of steps from the value `source` to the value `target`.

    Args:
        stage: prefix of the names of the nodes, and of the values in between.
        source: name of the value that the first step takes.
        steps: operations in their order, at least one.
        target: name of the value that the last step gives.
    """
    nodes: list[NodeProto] = []
    current = source
    for index, (operator, constants, attributes) in enumerate(steps):
        result = target if index == len(steps) - 1 else f"{stage}_{index}"
        inputs = [current, *(item.output[0] for item in constants)]
        again = any(earlier == operator for earlier, *_ in steps[:index])  # ONNX Runtime refuses a name that is twice
        name = f"{stage}_{operator}_{index}" if again else f"{stage}_{operator}"
        nodes += [*constants, helper.make_node(operator, inputs, [result], name=name, **attributes)]
        current = result
    return nodes
