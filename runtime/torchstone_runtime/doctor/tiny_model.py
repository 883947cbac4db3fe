"""A small ONNX model, written byte by byte: `onnx` is no part of the runtime.

The field numbers are those of ONNX's onnx.proto; the encoding is that of protocol buffers.
"""

import struct
from typing import Final

PIXELS: Final = 4
FACTOR: Final = 2.0
_FLOAT: Final = 1
_SHAPE: Final = (1, 1, 2, 2)
_VARINT_BITS: Final = 7
_LENGTH_DELIMITED: Final = 2


def tiny_model(*, ir_version: int, opset: int) -> bytes:
    """Return a model that computes `y = relu(conv(x, 2))` for float32 x of shape (1, 1, 2, 2).

    A convolution, because cuDNN is loaded for one and not before.

    Args:
        ir_version: ONNX IR version of the file.
        opset: version of ONNX's default operator set, 7 or later.
    """
    weights = b"".join(_number(1, 1) for _ in _SHAPE) + _number(2, _FLOAT)
    weights += _text(8, "w") + _bytes(9, struct.pack("<f", FACTOR))
    graph = _bytes(1, _node("Conv", ["x", "w"], "c")) + _bytes(1, _node("Relu", ["c"], "y")) + _text(2, "tiny")
    graph += _bytes(5, weights) + _bytes(11, _tensor("x")) + _bytes(12, _tensor("y"))
    return _number(1, ir_version) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, opset))


def _node(operator: str, inputs: list[str], output: str) -> bytes:
    names = b"".join(_text(1, name) for name in inputs)
    return names + _text(2, output) + _text(3, operator) + _text(4, operator)


def _tensor(name: str) -> bytes:
    shape = b"".join(_bytes(1, _number(1, length)) for length in _SHAPE)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, shape)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | _LENGTH_DELIMITED) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 1 << _VARINT_BITS:
        encoded.append(value & 0x7F | 0x80)
        value >>= _VARINT_BITS
    return bytes([*encoded, value])
