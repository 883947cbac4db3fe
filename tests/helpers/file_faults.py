"""Faults put into an ONNX file: each a function from the bytes of a right file to those of a wrong one.

`FILE_FAULTS` holds each by name. They need the outputs `logits` and `probabilities` and the input `images` that
Torchstone's exporter gives a file. The faulty files pass ONNX's own checker.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FileFault = Callable[[bytes], bytes]


def one_weight(content: bytes, amount: float, seed: int = 0) -> bytes:
    """Change one weight of the file by `amount` times the largest of its tensor."""
    model = onnx.load_from_string(content)
    tensors = [item for item in model.graph.initializer if _is_weight(item)]
    random = np.random.RandomState(seed)
    tensor = tensors[random.randint(len(tensors))]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[random.randint(values.size)] += np.float32(amount * np.abs(values).max())
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return _finish(model)


def frozen_input(content: bytes, batch: int = 2) -> bytes:
    """Declare a fixed batch, as an export without dynamic axes does."""
    model = onnx.load_from_string(content)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    return _finish(model)


def baked_reshape(content: bytes, batch: int = 2) -> bytes:
    """Reshape the logits to a constant batch, as `x.view(batch, -1)` with a Python number does in a trace."""
    model = onnx.load_from_string(content)
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    model.graph.initializer.append(numpy_helper.from_array(np.array([batch, classes], np.int64), "baked_shape"))
    return _after(model, "logits", lambda raw: [helper.make_node("Reshape", [raw, "baked_shape"], ["logits"])])


def mixed_batch(content: bytes, share: float = 1e-3) -> bytes:
    """Add a share of the batch's mean to every row of the logits."""
    model = onnx.load_from_string(content)
    _constants(model, mix_share=np.float32(share), mix_axes=np.array([0], np.int64))
    return _after(
        model,
        "logits",
        lambda raw: [
            helper.make_node("ReduceMean", [raw, "mix_axes"], ["mix_mean"], keepdims=1),
            helper.make_node("Mul", ["mix_mean", "mix_share"], ["mix_part"]),
            helper.make_node("Add", [raw, "mix_part"], ["logits"]),
        ],
    )


def place_in_batch(content: bytes, step: float = 1e-4) -> bytes:
    """Add something to the logits that grows with the place in the batch."""
    model = onnx.load_from_string(content)
    _constants(model, place_step=np.float32(step), place_zero=np.int64(0), place_one=np.int64(1))
    _constants(model, place_axis=np.array([1], np.int64))
    return _after(
        model,
        "logits",
        lambda raw: [
            helper.make_node("Shape", [raw], ["place_shape"]),
            helper.make_node("Gather", ["place_shape", "place_zero"], ["place_count"]),
            helper.make_node("Range", ["place_zero", "place_count", "place_one"], ["place_index"]),
            helper.make_node("Cast", ["place_index"], ["place_float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["place_float", "place_step"], ["place_row"]),
            helper.make_node("Unsqueeze", ["place_row", "place_axis"], ["place_column"]),
            helper.make_node("Add", [raw, "place_column"], ["logits"]),
        ],
    )


def dropped_softmax(content: bytes) -> bytes:
    """Give out the logits as probabilities."""
    model = onnx.load_from_string(content)
    nodes = [node for node in model.graph.node if "probabilities" not in node.output]
    del model.graph.node[:]
    model.graph.node.extend([*nodes, helper.make_node("Identity", ["logits"], ["probabilities"])])
    return _finish(model)


def sharpened_probabilities(content: bytes, temperature: float = 1.05) -> bytes:
    """Another temperature than the manifest states."""
    model = onnx.load_from_string(content)
    _constants(model, wrong_temperature=np.float32(temperature))
    softmax = next(node for node in model.graph.node if "probabilities" in node.output)
    position = list(model.graph.node).index(softmax)
    division = helper.make_node("Div", [softmax.input[0], "wrong_temperature"], ["wrong_scaled"])
    softmax.input[0] = "wrong_scaled"
    model.graph.node.insert(position, division)
    return _finish(model)


def exchanged_labels(content: bytes) -> bytes:
    """Exchange the last two classes in both outputs."""
    model = onnx.load_from_string(content)
    classes = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    order = np.array([*range(classes - 2), classes - 1, classes - 2], np.int64)
    _constants(model, label_order=order)
    return _after(model, "logits", lambda raw: [helper.make_node("Gather", [raw, "label_order"], ["logits"], axis=1)])


def clipped_logits(content: bytes, limit: float = 1.0) -> bytes:
    """Cut the logits off."""
    model = onnx.load_from_string(content)
    _constants(model, clip_low=np.float32(-limit), clip_high=np.float32(limit))
    return _after(model, "logits", lambda raw: [helper.make_node("Clip", [raw, "clip_low", "clip_high"], ["logits"])])


def half_precision_logits(content: bytes) -> bytes:
    """Let the logits go through fp16."""
    model = onnx.load_from_string(content)
    return _after(
        model,
        "logits",
        lambda raw: [
            helper.make_node("Cast", [raw], ["half"], to=TensorProto.FLOAT16),
            helper.make_node("Cast", ["half"], ["logits"], to=TensorProto.FLOAT),
        ],
    )


def random_noise(content: bytes, scale: float = 1e-3) -> bytes:
    """Add noise that is drawn anew at every call."""
    model = onnx.load_from_string(content)
    return _after(
        model,
        "logits",
        lambda raw: [
            helper.make_node("RandomNormalLike", [raw], ["drawn"], scale=scale),
            helper.make_node("Add", [raw, "drawn"], ["logits"]),
        ],
    )


def dropout_in_training_mode(content: bytes, ratio: float = 0.1) -> bytes:
    """Let a Dropout node drop at inference, by its training_mode input."""
    model = onnx.load_from_string(content)
    _constants(model, drop_ratio=np.float32(ratio), drop_training=np.ones((), np.bool_))
    return _after(
        model, "logits", lambda raw: [helper.make_node("Dropout", [raw, "drop_ratio", "drop_training"], ["logits"])]
    )


def transposed_pixels(content: bytes) -> bytes:
    """Exchange rows and columns of the image."""
    model = onnx.load_from_string(content)
    for node in model.graph.node:
        node.input[:] = ["images_turned" if name == "images" else name for name in node.input]
    model.graph.node.insert(0, helper.make_node("Transpose", ["images"], ["images_turned"], perm=[0, 1, 3, 2]))
    return _finish(model)


def half_precision_weights(content: bytes) -> bytes:
    """Round the largest weight tensor to fp16."""
    model = onnx.load_from_string(content)
    tensor = max((item for item in model.graph.initializer if _is_weight(item)), key=lambda item: np.prod(item.dims))
    values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return _finish(model)


def _is_weight(tensor: TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and len(tensor.dims) >= 2 and int(np.prod(tensor.dims)) > 16


def _constants(model: onnx.ModelProto, **values: Any) -> None:  # noqa: ANN401 - NumPy scalars and arrays
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), name) for name, value in values.items())


def _after(model: onnx.ModelProto, name: str, make: Callable[[str], Sequence[onnx.NodeProto]]) -> bytes:
    # Nodes that use the value get the changed one: what follows the fault suffers from it as well.
    position, producer = next((i, node) for i, node in enumerate(model.graph.node) if name in node.output)
    raw = f"{name}_right"
    producer.output[:] = [raw if output == name else output for output in producer.output]
    for offset, node in enumerate(make(raw), 1):
        model.graph.node.insert(position + offset, node)
    return _finish(model)


def _finish(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


FILE_FAULTS: Final[dict[str, FileFault]] = {
    "one weight changed by a tenth of the largest": lambda content: one_weight(content, 0.1),
    "batch declared as 2": frozen_input,
    "batch of 2 baked into a Reshape": baked_reshape,
    "logits mixed with the batch's mean": mixed_batch,
    "logits depend on the place in the batch": place_in_batch,
    "softmax dropped": dropped_softmax,
    "another temperature": sharpened_probabilities,
    "labels exchanged in the file": exchanged_labels,
    "logits clipped in the file": clipped_logits,
    "logits through fp16": half_precision_logits,
    "random noise": random_noise,
    "dropout in training mode": dropout_in_training_mode,
    "pixels transposed": transposed_pixels,
    "largest weights rounded to fp16": half_precision_weights,
}
