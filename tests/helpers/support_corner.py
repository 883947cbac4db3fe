"""A model that looks at one corner of the picture and at nothing else."""

from pathlib import Path
from typing import Final

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from torchstone_runtime.bundle.manifest import METADATA_KEY, essentials_json
from torchstone_runtime.images.input_spec import InputSpec

CORNER: Final = 8
NAMES: Final = ("dull", "lively")
SPEC: Final = InputSpec(color="RGB", height=32, width=24, mean=(0.5,) * 3, std=(0.5,) * 3)


def write_corner_model(path: Path, names: tuple[str, str] = NAMES) -> Path:
    """Write a lone ONNX file: the more the upper left 8 x 8 pixels differ among each other, the surer is the second."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["pixels", "start", "end", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner", "all"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["corner", "mean"], ["off"]),
        helper.make_node("Abs", ["off"], ["spread"]),
        helper.make_node("ReduceMean", ["spread", "all"], ["liveliness4"], keepdims=1),
        helper.make_node("Reshape", ["liveliness4", "rows"], ["liveliness"]),
        helper.make_node("Sub", ["liveliness", "middle"], ["centred"]),
        helper.make_node("Mul", ["centred", "slope"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "start": np.array([0, 0], np.int64),
        "end": np.array([CORNER, CORNER], np.int64),
        "axes": np.array([2, 3], np.int64),
        "all": np.array([1, 2, 3], np.int64),
        "rows": np.array([-1, 1], np.int64),
        "middle": np.float32(20),
        "slope": np.array([[-0.2, 0.2]], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "corner",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *SPEC.shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2]) for name in ("logits", "probabilities")],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {METADATA_KEY: essentials_json("corner", names, SPEC, 1.0)})
    checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path
