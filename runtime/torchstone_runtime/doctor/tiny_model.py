"""A small ONNX model as its bytes: `onnx`, which could write it, is no part of the runtime."""

from typing import Final

PIXELS: Final = 4
FACTOR: Final = 2.0
# Weights, input and output are float32; w has the shape (1, 1, 1, 1), x and y have (1, 1, 2, 2).
_GRAPH: Final = (
    b'\n\x15\n\x01x\n\x01w\x12\x01c\x1a\x04Conv"\x04Conv'  # c = Conv(x, w)
    b'\n\x12\n\x01c\x12\x01y\x1a\x04Relu"\x04Relu'  # y = Relu(c)
    b"\x12\x04tiny*\x13\x08\x01\x08\x01\x08\x01\x08\x01\x10\x01B\x01wJ\x04\x00\x00\x00\x40"  # w: 2.0
    b"Z\x1b\n\x01x\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08\x02"
    b"b\x1b\n\x01y\x12\x16\n\x14\x08\x01\x12\x10\n\x02\x08\x01\n\x02\x08\x01\n\x02\x08\x02\n\x02\x08\x02"
)


def tiny_model(*, ir_version: int, opset: int) -> bytes:
    """Return a model that computes `y = relu(conv(x, 2))` for float32 x of shape (1, 1, 2, 2).

    A convolution, because cuDNN is loaded for one and not before.

    Args:
        ir_version: ONNX IR version of the file, below 128: one byte holds it.
        opset: version of ONNX's default operator set, 7 to 127.
    """
    return b"\x08%c:\x80\x01%bB\x04\n\x00\x10%c" % (ir_version, _GRAPH, opset)
