"""Tensors of the Open Inference Protocol: in JSON, or in binary behind it (Triton's extension `binary_tensor_data`).

Formats: the protocol's `inference_rest.md` and Triton's `extension_binary_data.md`.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.errors import RemoteError
from torchstone_runtime.protocol.body import HEADER_LENGTH
from torchstone_runtime.remote.server_address import HttpAnswer

BINARY_EXTENSION: Final = "binary_tensor_data"
DTYPES: Final = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""NumPy's names of the datatypes of fixed size, little-endian as the binary form has them."""


def infer_request(
    name: str,
    datatype: str,
    tensor: npt.NDArray[Any] | Sequence[bytes],
    outputs: Sequence[str],
    *,
    binary: bool,
    axes: int = 1,
) -> tuple[bytes, dict[str, str]]:
    """Return the body and headers of a request for inference with one input.

    Args:
        name: name of the input.
        datatype: its datatype by the protocol's name.
        tensor: its values; a sequence of contents for `BYTES`, which need the binary form.
        outputs: names of the outputs that are wanted; none for all.
        binary: whether values go, and are asked to come, in binary.
        axes: axes of the input where its values are contents: the first for the contents, each other of length 1.
    """
    shape = list(tensor.shape) if isinstance(tensor, np.ndarray) else [len(tensor), *[1] * (axes - 1)]
    described: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    request: dict[str, Any] = {"inputs": [described]}
    if outputs:
        request["outputs"] = [{"name": output} for output in outputs]
    if not binary:
        described["data"] = tensor.ravel().tolist() if isinstance(tensor, np.ndarray) else list(tensor)
        return json.dumps(request).encode(), {"Content-Type": "application/json"}
    raw = _raw(tensor, datatype)
    described["parameters"] = {"binary_data_size": len(raw)}
    for output in request.get("outputs", ()):
        output["parameters"] = {"binary_data": True}
    header = json.dumps(request).encode()
    return header + raw, {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}


def _raw(tensor: npt.NDArray[Any] | Sequence[bytes], datatype: str) -> bytes:
    if isinstance(tensor, np.ndarray):
        return np.ascontiguousarray(tensor, dtype=DTYPES[datatype]).tobytes()
    return b"".join(struct.pack("<I", len(content)) + content for content in tensor)


def read_outputs(answer: HttpAnswer) -> dict[str, npt.NDArray[Any]]:
    """Return the outputs of fixed-size datatypes in an answer with status 200, by name.

    Raises:
        RemoteError: it is not what the protocol says.
    """
    try:
        length = answer.headers.get(HEADER_LENGTH.lower())
        size = len(answer.body) if length is None else int(length)
        if not 0 < size <= len(answer.body):
            raise ValueError(f"its JSON is said to have {size} bytes of {len(answer.body)}")
        described, raw = json.loads(answer.body[:size])["outputs"], memoryview(answer.body)[size:]
        found, position = {}, 0
        for output in described:
            taken = (output.get("parameters") or {}).get("binary_data_size")
            part = None if taken is None else raw[position : position + int(taken)]
            position += 0 if taken is None else int(taken)
            if output["datatype"] in DTYPES:
                found[str(output["name"])] = _tensor(output, part)
        if position != len(raw):
            raise ValueError(f"{len(raw)} bytes of binary tensors, {position} were announced")
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise RemoteError(f"The server's answer is not what the Open Inference Protocol says: {error!r}.") from error
    return found


def _tensor(output: Mapping[str, Any], raw: memoryview | None) -> npt.NDArray[Any]:
    dtype, shape = np.dtype(DTYPES[output["datatype"]]), [int(length) for length in output["shape"]]
    if min(shape, default=0) < 0:
        raise ValueError(f"shape {shape}")
    values = np.asarray(output["data"], dtype=dtype) if raw is None else np.frombuffer(raw, dtype=dtype)
    if values.size != math.prod(shape):
        raise ValueError(f"{values.size} values for shape {shape}")
    return values.reshape(shape)
