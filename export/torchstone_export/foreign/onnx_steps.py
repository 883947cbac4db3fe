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
        stage: what the names of nodes and of values in between begin with.
        source: what the first one takes.
        steps: at least one.
        target: what the last one gives.
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
