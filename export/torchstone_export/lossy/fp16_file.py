"""The fp16 file: half the bytes, for GPUs."""

import warnings

import onnx

from torchstone_export.formats.graph import after_logits, input_chain
from torchstone_export.formats.onnx_file import strip_traces
from torchstone_export.lossy.ort_tools import OnnxModel, convert_float_to_float16


def to_fp16(content: bytes) -> bytes:
    """Return an ONNX file that computes in fp16 from the normalised pixels to the logits; outputs are float32.

    Normalisation and softmax stay float32: the one so that pixels lose nothing before the first layer, the other so
    that probabilities sum to 1. The same file gives the same bytes.

    Args:
        content: a file of `export_onnx`.
    """
    model = onnx.load_from_string(content)
    chain, tail = input_chain(model.graph), set(after_logits(model.graph))
    head = {node.name for node in chain}
    core = _core(model, head | tail, chain[-1].output[0] if chain else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that underflow; the accuracy is measured instead
        half = convert_float_to_float16(core, keep_io_types=True)
    OnnxModel(half).topological_sort(is_deterministic=True)  # the converter appends its casts
    nodes = [*chain, *half.graph.node, *(node for node in model.graph.node if node.name in tail)]
    outside = {name for node in model.graph.node if node.name in head | tail for name in node.input}
    weights = [*half.graph.initializer, *(item for item in model.graph.initializer if item.name in outside)]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for field in ("node", "initializer", "value_info"):
        result.graph.ClearField(field)
    result.graph.node.extend(nodes)
    result.graph.initializer.extend(weights)
    strip_traces(result.graph)
    onnx.checker.check_model(result, full_check=True)
    return bytes(result.SerializeToString(deterministic=True))


def _core(model: onnx.ModelProto, left_out: set[str], source: str | None) -> onnx.ModelProto:
    # The part between normalisation and logits, as a model of its own.
    core = onnx.ModelProto()
    core.CopyFrom(onnx.shape_inference.infer_shapes(model))
    graph = core.graph
    if source is not None:
        known = next(item for item in graph.value_info if item.name == source)
        del graph.input[:]
        graph.input.append(known)
        graph.value_info.remove(known)
    kept = [node for node in graph.node if node.name not in left_out]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input}
    weights = [item for item in graph.initializer if item.name in used]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    for output in [output for output in graph.output if output.name != "logits"]:
        graph.output.remove(output)
    return core
