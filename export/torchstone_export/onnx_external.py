"""Weights that an ONNX file keeps in files beside it, taken into it."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from torchstone_runtime.errors import DataError

LARGEST_FILE: Final = (1 << 31) - (1 << 20)
"""Of an ONNX file, in bytes: protobuf's limit of 2 GiB, less some room for what is added."""


def embed_external_data(model: ModelProto, folder: Path) -> None:
    """Take external weights into the model itself, from plain files in `folder` and from nowhere else.

    Raises:
        DataError: a place outside the folder, a link, a file that is missing or too short, or too much data.
    """
    total = model.ByteSize()
    for tensor in all_tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        content = _read_part(tensor, folder)
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


def _read_part(tensor: TensorProto, folder: Path) -> bytes:
    stated = {entry.key: entry.value for entry in tensor.external_data}
    location = _name_beside(stated.get("location", ""))
    try:
        offset, length = int(stated.get("offset", 0)), int(stated.get("length", -1))
    except ValueError as error:
        raise DataError(f"The ONNX file states no valid place in {location}: {error}.") from error
    with _open_regular(folder / location) as handle:
        size = os.fstat(handle.fileno()).st_size
        length = size - offset if length < 0 else length
        if offset < 0 or offset + length > size or length > LARGEST_FILE:
            raise DataError(
                f"{location} is too short or too long for the weights that the ONNX file keeps in it.",
                "Copy both files again; they belong together.",
            )
        handle.seek(offset)
        return handle.read(length)


def _name_beside(location: str) -> str:
    """Return the file name that a relative place comes to, such as `x` for `./x` and `sub/../x`."""
    # By the letter alone, as a path: nothing on the disk decides, so that a link called `sub` leads nowhere else.
    parts: list[str] = []
    for part in location.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    name = parts[0] if len(parts) == 1 else ""
    if name in ("", "..") or location.endswith(("/.", "/..")) or "\\" in name or "\0" in name:
        raise DataError(
            f"The ONNX file keeps weights in {location!r}; only a file in its own directory is read.",
            "Save it with its weights inside (onnx.save with save_as_external_data=False), or beside it.",
        )
    return name


def _open_regular(path: Path) -> BinaryIO:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise DataError(
            f"The ONNX file keeps its weights in {path.name}, which is not beside it.", "Copy both files."
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DataError(
                f"{path}, which holds weights of the ONNX file, is a link. Links are not followed, since one may lead "
                "to any file of this machine.",
                f"Put the file itself there, such as with: cp -L {path.name} copy && mv copy {path.name}",
            ) from error
        raise DataError(f"{path}, which holds weights of the ONNX file, cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError(f"{path} is not a regular file.", "Put the file itself there.")
    return os.fdopen(handle, "rb")
