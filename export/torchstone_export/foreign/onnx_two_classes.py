"""The nodes that make two classes' logits of one output; their arithmetic is that of `TwoClasses.logits`."""

import numpy as np
from onnx import NodeProto, TensorProto, helper

from torchstone_export.foreign.onnx_steps import Step, chain, constant
from torchstone_export.foreign.two_classes import LARGEST, SMALLEST, STEP, TwoClasses


def logits_of_two(two_classes: TwoClasses, source: str) -> list[NodeProto]:
    """Return nodes from the original's one output to `logits`."""
    column: list[Step] = [("Cast", [], {"to": TensorProto.FLOAT}), ("Reshape", [_numbers("column", [-1, 1])], {})]
    nodes = chain("finish", source, column, "finish_column")
    value = decides = "finish_column"
    if two_classes.sigmoid:
        nodes += chain("chance", value, [("Sigmoid", [], {})], "finish_chance")
        decides = "finish_chance"
    elif two_classes.output != "logits":
        if two_classes.output == "log-probabilities":
            nodes.append(helper.make_node("Exp", [value], ["finish_chance"], name="finish_Exp"))
            decides = "finish_chance"
        nodes += _odds(decides)
        value = "finish_odds"
    if two_classes.shift:
        nodes += chain("shift", value, [("Sub", [_number("shift", two_classes.shift)], {})], "finish_shifted")
        value = "finish_shifted"
    nodes += _decided(decides, value, two_classes.limit)
    return [*nodes, *chain("widen", "finish_positive", [("Pad", [_numbers("beside", [0, 1, 0, 0])], {})], "logits")]


def _odds(chance: str) -> list[NodeProto]:
    within: list[Step] = [("Max", [_number("smallest", SMALLEST)], {}), ("Min", [_number("largest", LARGEST)], {})]
    return [
        *chain("within", chance, within, "finish_within"),
        _number("one", 1),
        helper.make_node("Sub", ["one", "finish_within"], ["finish_other"], name="finish_other"),
        helper.make_node("Log", ["finish_other"], ["finish_log_other"], name="finish_log_other"),
        helper.make_node("Log", ["finish_within"], ["finish_log"], name="finish_log"),
        helper.make_node("Sub", ["finish_log", "finish_log_other"], ["finish_odds"], name="finish_odds"),
    ]


def _decided(decides: str, value: str, limit: float) -> list[NodeProto]:
    return [
        *chain("above", decides, [("Greater", [_number("limit", limit)], {})], "finish_is_positive"),
        *chain("raise", value, [("Max", [_number("step", STEP)], {})], "finish_raised"),
        *chain("lower", value, [("Min", [_number("zero", 0)], {})], "finish_lowered"),
        helper.make_node(
            *("Where", ["finish_is_positive", "finish_raised", "finish_lowered"], ["finish_positive"]),
            name="finish_positive",
        ),
    ]


def _number(name: str, value: float) -> NodeProto:
    return constant(name, np.array(value, dtype=np.float32))


def _numbers(name: str, values: list[int]) -> NodeProto:
    return constant(name, np.array(values, dtype=np.int64))
