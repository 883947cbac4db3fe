"""Preprocessing before, softmax after an ONNX file made elsewhere: a file like those that Torchstone exports."""

from typing import Any, Final

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, version_converter

from torchstone_export.foreign.model_spec import ModelSpec
from torchstone_export.foreign.module_network import SMALLEST_PROBABILITY
from torchstone_export.foreign.onnx_original import OnnxOriginal
from torchstone_export.foreign.onnx_steps import Step, chain, constant
from torchstone_export.foreign.onnx_two_classes import logits_of_two
from torchstone_export.foreign.two_classes import TwoClasses
from torchstone_export.formats.onnx_file import IR_VERSION, strip_attributes, strip_traces
from torchstone_export.model import TrainedModel
from torchstone_runtime.bundle.manifest import METADATA_KEY, essentials_json
from torchstone_runtime.errors import DataError, first_line
from torchstone_runtime.images.input_spec import InputSpec

PREFIX: Final = "original/"
"""Before every name of the file, so that none can be one of ours."""
_OLDEST_OPSET: Final = 13
"""Softmax takes one axis since then. Older files are converted."""
_DTYPE: Final = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "float64": TensorProto.DOUBLE,
    "uint8": TensorProto.UINT8,
}


def wrap_onnx(
    original: OnnxOriginal,
    spec: ModelSpec,
    model: TrainedModel,
    *,
    free_shapes: bool = False,
    two_classes: TwoClasses | None = None,
) -> bytes:
    """Return an ONNX file with input `images` and outputs `logits` and `probabilities` around the original's graph.

    Args:
        original: ONNX file as it was given.
        spec: input and output of the model in the file.
        model: name, classes, input and temperature of the model.
        free_shapes: whether a fixed number of images is also taken out of the target shapes of Reshape nodes.
        two_classes: rule by which the original's one output becomes two; None where it has one output per class.

    Raises:
        DataError: the original's operators can't be brought to an opset that allows it.
    """
    inner = _at_usable_opset(original.model)
    if free_shapes:
        _free_shapes(inner, original.batch)
    _prefix_names(inner.graph)
    graph, (given, output) = inner.graph, (PREFIX + original.input_name, PREFIX + original.output_name)
    del graph.input[:], graph.output[:], graph.value_info[:]
    before = _preprocessing(original, spec, model.spec, given)
    logits = _logits(spec, output) if two_classes is None else logits_of_two(two_classes, output)
    after = [*logits, *_probabilities(model.module.temperature)]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", *model.spec.shape]))
    for name in ("logits", "probabilities"):
        shape: list[str | int | None] = ["batch", len(model.class_names)]
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return _finished(inner, model)


def _at_usable_opset(model: ModelProto) -> ModelProto:
    versions = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    copy = ModelProto()
    copy.CopyFrom(model)
    if versions and versions[0] >= _OLDEST_OPSET:
        return copy
    try:
        return version_converter.convert_version(copy, _OLDEST_OPSET)
    except Exception as error:  # the converter raises RuntimeError and others, by operator
        raise DataError(
            f"The ONNX file has opset {versions[0] if versions else 'none'}, and can't be converted to "
            f"{_OLDEST_OPSET}: {first_line(error)}",
            "Export it again with a later opset.",
        ) from error


def _free_shapes(model: ModelProto, batch: int | None) -> None:
    # Where a number of images is fixed, exporters also write it into the target shapes of Reshape nodes.
    constants = {item.name: item for item in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    for node in model.graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        values = [] if shape is None else numpy_helper.to_array(shape).tolist()
        if len(values) > 1 and values[0] == batch and 0 not in values[1:]:
            name = f"{node.output[0]}/freed_batch"
            # 0 takes over the axis of the input: the batch, where that is its first axis. What comes out is compared.
            model.graph.initializer.append(numpy_helper.from_array(np.array([0, *values[1:]], dtype=np.int64), name))
            node.input[1] = name
            kept = [item for item in node.attribute if item.name != "allowzero"]  # with it, 0 would be an empty axis
            del node.attribute[:]
            node.attribute.extend(kept)


def _prefix_names(graph: GraphProto) -> None:
    # Every name in every scope alike, so that what a sub-graph reads of the graph around it stays what it was.
    # (onnx.compose.add_prefix leaves such names of weights as they are.) An empty name is no name: an input left out.
    for node in graph.node:
        node.name = node.name and PREFIX + node.name
        for names in (node.input, node.output):
            names[:] = [name and PREFIX + name for name in names]
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else ())):
                _prefix_names(inner)
    sparse = [tensor.values for tensor in graph.sparse_initializer]
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *sparse):
        item.name = PREFIX + item.name


def _preprocessing(original: OnnxOriginal, spec: ModelSpec, input_spec: InputSpec, target: str) -> list[NodeProto]:
    """Return nodes from `images` to the original's input; the arithmetic is that of `ImageClassifier`."""
    steps: list[Step] = []
    if original.dtype != "uint8":
        scale, offset = normalisation(input_spec)
        steps += [
            ("Cast", [], {"to": TensorProto.FLOAT}),
            ("Mul", [constant("scale", scale)], {}),
            ("Add", [constant("offset", offset)], {}),
        ]
    if spec.color == "BGR":
        steps.append(("Gather", [constant("order", np.array([2, 1, 0], dtype=np.int64))], {"axis": 1}))
    if original.layout == "NHWC":
        steps.append(("Transpose", [], {"perm": [0, 2, 3, 1]}))
    if original.dtype in ("float16", "float64"):
        steps.append(("Cast", [], {"to": _DTYPE[original.dtype]}))
    return chain("prepare", "images", steps or [("Identity", [], {})], target)


def _logits(spec: ModelSpec, source: str) -> list[NodeProto]:
    """Return nodes from the original's output to `logits`."""
    steps: list[Step] = [("Cast", [], {"to": TensorProto.FLOAT})]
    if spec.output == "probabilities":
        smallest = constant("smallest", np.array(SMALLEST_PROBABILITY, dtype=np.float32))
        steps += [("Max", [smallest], {}), ("Log", [], {})]
    return chain("finish", source, steps, "logits")


def _probabilities(temperature: float) -> list[NodeProto]:
    """Return nodes from `logits` to `probabilities`."""
    softmax: list[Step] = [("Softmax", [], {"axis": 1})]
    if temperature != 1:
        softmax.insert(0, ("Div", [constant("temperature", np.array(temperature, dtype=np.float32))], {}))
    return chain("softmax", "logits", softmax, "probabilities")


def normalisation(spec: InputSpec) -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
    """Return scale and offset, float32 (1, C, 1, 1), of `(pixel / 255 - mean) / std` as `pixel * scale + offset`."""
    mean = np.array(spec.mean, dtype=np.float64).reshape(1, -1, 1, 1)
    std = np.array(spec.std, dtype=np.float64).reshape(1, -1, 1, 1)
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


def _finished(model: ModelProto, described: TrainedModel) -> bytes:
    # Since IR version 4 weights need not be listed as inputs; what the file used of later versions, the check finds.
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string, model.domain = "torchstone", "", "", ""
    model.model_version = 0
    strip_traces(model.graph)
    for function in model.functions:
        for item in (function, *function.node, *function.value_info):
            item.doc_string = ""
            del item.metadata_props[:]
        strip_attributes(function.node)
    del model.metadata_props[:], model.training_info[:]
    essentials = essentials_json(described.name, described.class_names, described.spec, described.module.temperature)
    helper.set_model_props(model, {METADATA_KEY: essentials})
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise DataError(
            f"The ONNX file is not valid: {first_line(error)}", "Export it again where it was made."
        ) from error
    return bytes(model.SerializeToString(deterministic=True))
