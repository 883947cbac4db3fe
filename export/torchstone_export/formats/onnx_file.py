"""The ONNX file: one file, batch axis alone dynamic, nothing in it of the machine that made it."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import onnx
import torch
from torch import nn

from torchstone_export.model import ExportableClassifier
from torchstone_runtime.bundle.manifest import METADATA_KEY, essentials_json
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.system.thread_output import own_output_to

OPSET: Final = 20
"""Read by ONNX Runtime from 1.17 on, and the default of PyTorch's exporter."""
IR_VERSION: Final = 10
"""Read by ONNX Runtime from 1.18 on; onnx would write 14, which 1.31 refuses."""


def export_onnx(model: ExportableClassifier, name: str, class_names: tuple[str, ...], spec: InputSpec) -> bytes:
    """Return the model as an ONNX file with input `images` and outputs `logits` and `probabilities`.

    The same weights give the same bytes. The file's metadata holds what a lone file needs to be used.

    Args:
        model: model in evaluation mode on the CPU.
        name: name of the model.
        class_names: names of the classes, in the order of the outputs.
        spec: input specification of the model.
    """
    example = torch.zeros((2, *spec.shape), dtype=torch.uint8)
    with _quiet(), _without_gradients(model):
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=["logits", "probabilities"],
            dynamic_shapes=({0: "batch"},),
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    proto = program.model_proto
    proto.ir_version = IR_VERSION
    proto.producer_name, proto.producer_version, proto.doc_string = "torchstone", "", ""
    strip_traces(proto.graph)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: essentials_json(name, class_names, spec, model.temperature)})
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def strip_traces(graph: onnx.GraphProto) -> None:
    """Remove names, notes and stack traces of the machine that made a graph, from its sub-graphs too."""
    # PyTorch's exporter writes stack traces, with source paths and code, into every node.
    graph.name, graph.doc_string = "torchstone", ""
    del graph.metadata_props[:], graph.quantization_annotation[:]
    values: tuple[Any, ...] = (
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.value_info,
        *graph.initializer,
        *(tensor.values for tensor in graph.sparse_initializer),
    )
    for item in values:
        item.doc_string = ""
        del item.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.type.denotation = ""
    strip_attributes(graph.node)


def strip_attributes(nodes: Iterable[onnx.NodeProto]) -> None:
    """Remove the same from the attributes of nodes: from what they say of themselves, their tensors and sub-graphs."""
    for node in nodes:
        for attribute in node.attribute:
            attribute.doc_string = ""
            constants = (*attribute.tensors, *([attribute.t] if attribute.HasField("t") else []))
            for tensor in constants:
                tensor.name, tensor.doc_string = "", ""
                del tensor.metadata_props[:]
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                strip_traces(inner)


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    # PyTorch 2.15 traces an attention with a learnt bias, as timm's MaxViT and CoAtNet have, without gradients
    # and decomposes it with them: another kernel, whose result lies otherwise in memory than the trace's views expect.
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in wanted:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad = True


@contextmanager
def _quiet() -> Iterator[None]:
    # The exporter prints its progress and torch warns about its own internals; neither helps the user.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    with warnings.catch_warnings(), own_output_to(None, "stdout"):
        warnings.simplefilter("ignore")
        logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            logger.setLevel(level)
