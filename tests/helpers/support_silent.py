"""Models that give an answer for some images only."""

from pathlib import Path
from typing import Literal

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from torchstone_runtime.bundle.manifest import METADATA_KEY, essentials_json
from torchstone_runtime.images.input_spec import InputSpec

Fault = Literal["nan", "infinite", "negative-infinite", "not-one", "negative"]
NAMES = ("ant", "bee")
SPEC = InputSpec(color="L", height=8, width=8, mean=(0.5,), std=(0.5,))


def write_silent_model(path: Path, fault: Fault = "nan") -> Path:
    """Write a lone ONNX file of two classes that answers bright pictures (`ant` up to a mean of 150) and no dark ones.

    For pictures with a mean level below 100 the logits are NaN or infinite, or the probabilities are none.
    """
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean4"], keepdims=1),
        helper.make_node("Reshape", ["mean4", "rows"], ["mean"]),
        helper.make_node("Less", ["mean", "hundred"], ["dark"]),
        helper.make_node("Sub", ["mean", "middle"], ["difference"]),
        helper.make_node("Neg", ["difference"], ["other"]),
        helper.make_node("Concat", ["other", "difference"], ["sound"], axis=1),
        helper.make_node("Softmax", ["logits"], ["softmax"], axis=1),
    ]
    if fault in ("nan", "infinite", "negative-infinite"):
        # Log of a negative number is NaN, of 0 minus infinity.
        nodes[-1:-1] = [
            helper.make_node("Log", ["spoilt"], ["logarithm"]),
            helper.make_node("Mul", ["logarithm", "sign"], ["bad"]),
            helper.make_node("Where", ["dark", "bad", "sound"], ["logits"]),
        ]
        nodes.append(helper.make_node("Identity", ["softmax"], ["probabilities"]))
    else:
        nodes[-1:-1] = [helper.make_node("Identity", ["sound"], ["logits"])]
        nodes.append(helper.make_node("Where", ["dark", "wrong", "softmax"], ["probabilities"]))
    wrong = [[0.9, 0.9]] if fault == "not-one" else [[1.5, -0.5]]
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "rows": np.array([-1, 1], np.int64),
        "hundred": np.float32(100),
        "middle": np.float32(150),
        # One class of the two is spoilt: the other's logit is a number.
        "spoilt": np.array([[-1.0 if fault == "nan" else 0.0, 1.0]], np.float32),
        "sign": np.float32(-1 if fault == "infinite" else 1),
        "wrong": np.array(wrong, np.float32),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "silent",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *SPEC.shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("logits", "probabilities")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: essentials_json("silent", NAMES, SPEC, 1.0)})
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
