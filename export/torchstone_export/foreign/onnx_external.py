"""Weights that an ONNX file keeps in files beside it, taken into it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from torchstone_export.foreign.beside import directories_of, open_beside
from torchstone_runtime.errors import DataError
from torchstone_runtime.text import showable

LARGEST_FILE: Final = (1 << 31) - (1 << 20)
"""Of an ONNX file, in bytes: protobuf's limit of 2 GiB, less some room for what is added."""


def embed_external_data(model: ModelProto, path: Path) -> None:
    """Take external weights into the model itself, from plain files in its directory or below, and nowhere else.

    Args:
        model: content of the file.
        path: path of the file; where it is a link, the directory of the file that it leads to comes first.

    Raises:
        DataError: a place outside, a file that is missing or too short, or too much data.
    """
    folders = directories_of(path)
    total = model.ByteSize()
    for tensor in all_tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        content = _read_part(tensor, folders)
        total += len(content)
        if total > LARGEST_FILE:
            raise DataError("With its external weights the ONNX file has more than 2 GiB.", "Take a smaller model.")
        tensor.raw_data = content
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Walk through every tensor: of the graph, its sub-graphs, functions and attributes."""
    yield from _tensors_of_graph(model.graph)
    for function in model.functions:
        yield from _tensors_of_nodes(function.node)


def _tensors_of_graph(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[NodeProto]) -> Iterator[TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from _tensors_of_graph(attribute.g)
            for graph in attribute.graphs:
                yield from _tensors_of_graph(graph)


def _read_part(tensor: TensorProto, folders: Sequence[Path]) -> bytes:
    stated = {entry.key: entry.value for entry in tensor.external_data}
    location = stated.get("location", "")
    try:
        offset, length = int(stated.get("offset", 0)), int(stated.get("length", -1))
    except ValueError as error:
        raise DataError(f"The ONNX file states no valid place in {showable(location)}: {error}.") from error
    with open_beside(location, folders) as handle:
        size = os.fstat(handle.fileno()).st_size
        length = size - offset if length < 0 else length
        if offset < 0 or length < 0 or offset + length > size or length > LARGEST_FILE:
            raise DataError(
                f"{showable(location)} is too short or too long for the weights that the ONNX file keeps in it.",
                "Copy both files again; they belong together.",
            )
        handle.seek(offset)
        return handle.read(length)
