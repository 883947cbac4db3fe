"""A look into an ONNX file before ONNX Runtime is given it: does loading and running it come to an end?

ONNX Runtime unfolds functions without a limit and runs a loop for as long as the graph says. The file is walked through
as protocol buffers (wire format of protobuf.dev/programming-guides/encoding; field numbers of onnx.proto, IR version
3 to 13), without reading its weights. Where a parser of protocol buffers may skip what another reads (a field number
beyond 32 bits, a known field of another wire type), the file is refused: what is checked here is what the engine reads.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from torchstone_runtime.errors import BundleError

MAX_NODES: Final = 1_000_000
"""Nodes after all functions are unfolded; the largest classifiers have some ten thousand."""

_ENDLESS: Final = frozenset(
    {"Loop", "Scan", "SequenceMap", "BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"}
)
_MAX_DEPTH: Final = 32
_MAX_SHIFT: Final = 63
_MAX_TAG: Final = (1 << 32) - 1
"""Protocol buffers' own parser keeps 32 bits of a longer tag, and so reads another field than the number says."""
_ORT_FORMAT: Final = b"ORTM"
"""The identifier, in bytes 4 to 7, of ONNX Runtime's own file format (flatbuffers)."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER = 1, 5, 15
_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_ATTRIBUTE = 1, 7, 10, 11
_NODE_ATTRIBUTE, _NODE_OP_TYPE, _NODE_DOMAIN = 5, 4, 7
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE_TENSOR, _ATTRIBUTE_SPARSE_TENSORS = 22, 23
_SPARSE_VALUES, _SPARSE_INDICES = 1, 2
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14

_Name = tuple[bytes, bytes]


@dataclass(slots=True)
class _Body:
    """Nodes of a graph or function, those of graphs inside them included: by domain and operator, how many."""

    calls: dict[_Name, int] = field(default_factory=dict)

    def add(self, name: _Name) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1


def check_graph(model: bytes) -> None:
    """Check that an ONNX file has no loops, no weights outside itself, and no functions that unfold without bound.

    Raises:
        BundleError: it has, or is no ONNX file.
    """
    main, functions = _Body(), dict[_Name, _Body]()
    has_graph = False
    try:
        for number, value in _fields(memoryview(model), _MODEL_GRAPH, _MODEL_FUNCTION):
            if number == _MODEL_GRAPH:
                has_graph = True  # a second one is merged with the first by the engine, and counted here
                _read_graph(value, main, 0)
            elif number == _MODEL_FUNCTION:
                # Functions of one name (overloads, or a second definition) count together: never too little.
                _read_function(value, functions)
    except _MalformedError as error:
        raise _not_onnx(model, str(error)) from error
    if not has_graph:
        raise _not_onnx(model, "it holds no graph")
    if (count := _unfolded(main, functions, {}, 0)) > MAX_NODES:
        raise BundleError(f"The model unfolds to {count:,} nodes; at most {MAX_NODES:,} are run.")


def _not_onnx(model: bytes, reason: str) -> BundleError:
    if model[4:8] == _ORT_FORMAT:
        return BundleError(
            "The model is in ONNX Runtime's own format (ORT), which is not read: its graph can't be checked.",
            "Give the ONNX file that it was made from.",
        )
    return BundleError(f"The model is not an ONNX file: {reason}.", "Export or copy the bundle again.")


class _MalformedError(ValueError):
    """Not the wire format of protocol buffers."""


def _fields(message: memoryview, *known: int) -> Iterator[tuple[int, memoryview]]:
    """Yield number and content of each field; the content of a number is empty where it is 0.

    Args:
        message: the bytes of one message.
        known: the numbers of fields that are texts or messages, and are refused as anything else.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        kind = tag & 7
        if not 0 < tag >> 3 <= _MAX_TAG >> 3:
            raise _MalformedError(f"a field of number {tag >> 3}")
        if kind != _BYTES and tag >> 3 in known:
            raise _MalformedError(f"field {tag >> 3} is of another kind than in ONNX")
        if kind == _VARINT:
            start = position
            value, position = _varint(message, position)
            yield tag >> 3, message[start:position] if value else message[:0]
            continue
        if kind == _BYTES:
            size, position = _varint(message, position)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise _MalformedError(f"a field of unknown kind {kind}")
        if position + size > end:
            raise _MalformedError("it ends inside a field")
        yield tag >> 3, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift <= _MAX_SHIFT:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the highest bit says that more follow
            return value, position
        shift += 7
    raise _MalformedError("a number without an end")


def _read_graph(graph: memoryview, body: _Body, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BundleError(f"The model has graphs inside graphs, more than {_MAX_DEPTH} deep.")
    for number, value in _fields(graph, _GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE_INITIALIZER):
        if number == _GRAPH_NODE:
            _read_node(value, body, depth)
        elif number == _GRAPH_INITIALIZER:
            _check_tensor(value)
        elif number == _GRAPH_SPARSE_INITIALIZER:
            _check_sparse_tensor(value)


def _read_function(function: memoryview, functions: dict[_Name, _Body]) -> None:
    name = domain = b""
    nodes, defaults = [], []
    known = (_FUNCTION_NAME, _FUNCTION_NODE, _FUNCTION_DOMAIN, _FUNCTION_ATTRIBUTE)
    for number, value in _fields(function, *known):
        if number == _FUNCTION_NAME:
            name = bytes(value)
        elif number == _FUNCTION_DOMAIN:
            domain = bytes(value)
        elif number == _FUNCTION_NODE:
            nodes.append(value)
        elif number == _FUNCTION_ATTRIBUTE:
            defaults.append(value)
    body = functions.setdefault((_plain(domain), name), _Body())
    for node in nodes:
        _read_node(node, body, 0)
    for attribute in defaults:
        _read_attribute(attribute, body, 0)


def _plain(domain: bytes) -> bytes:
    return b"" if domain == b"ai.onnx" else domain


def _read_node(node: memoryview, body: _Body, depth: int) -> None:
    operator = domain = b""
    for number, value in _fields(node, _NODE_ATTRIBUTE, _NODE_OP_TYPE, _NODE_DOMAIN):
        if number == _NODE_OP_TYPE:
            operator = bytes(value)
        elif number == _NODE_DOMAIN:
            domain = bytes(value)
        elif number == _NODE_ATTRIBUTE:
            _read_attribute(value, body, depth)
    if operator.decode("utf-8", "replace") in _ENDLESS:
        raise BundleError(
            f"The model has a loop ({operator.decode()}): how long it runs can't be told.",
            "Torchstone runs graphs without loops only; unroll it before the export.",
        )
    body.add((_plain(domain), operator))


def _read_attribute(attribute: memoryview, body: _Body, depth: int) -> None:
    graphs = (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS)
    tensors = (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS)
    sparse = (_ATTRIBUTE_SPARSE_TENSOR, _ATTRIBUTE_SPARSE_TENSORS)
    for number, value in _fields(attribute, *graphs, *tensors, *sparse):
        if number in graphs:
            _read_graph(value, body, depth + 1)
        elif number in tensors:
            _check_tensor(value)
        elif number in sparse:
            _check_sparse_tensor(value)


def _check_sparse_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor, _SPARSE_VALUES, _SPARSE_INDICES):
        if number in (_SPARSE_VALUES, _SPARSE_INDICES):
            _check_tensor(value)


def _check_tensor(tensor: memoryview) -> None:
    for number, value in _fields(tensor):
        if number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and len(value)):
            raise BundleError(
                "The model keeps weights in another file (external data); only those inside the file are read.",
                "Export it as one file.",
            )


def _unfolded(body: _Body, functions: dict[_Name, _Body], known: dict[_Name, int], depth: int) -> int:
    if depth > _MAX_DEPTH:
        raise BundleError(f"The model has functions that call each other more than {_MAX_DEPTH} deep, or forever.")
    total = 0
    for name, times in body.calls.items():
        if name in functions and name not in known:
            known[name] = _unfolded(functions[name], functions, known, depth + 1)
        total += times * known.get(name, 1)
    return total
