"""An inference request: which images, and which outputs in which form."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.image_formats import START_BYTES, format_of
from torchstone_runtime.protocol.body import HEADER_LENGTH, json_length, parse_object, shown, split_body
from torchstone_runtime.protocol.request_error import RequestError, refuse
from torchstone_runtime.protocol.tensors import InputTensor, object_of, read_byte_strings, read_pixels, read_shape

IMAGES: Final = "images"
ENCODED: Final = "encoded"
"""Names of the two inputs: pixels as the model takes them, and picture files. A request has one of them."""
OUTPUTS: Final = ("logits", "probabilities")

_MAX_TENSORS: Final = 16
_MAX_MICROSECONDS: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class WantedOutput:
    """An output that was asked for.

    Attributes:
        name: name of the output.
        binary: whether it is sent as a binary tensor.
        classes: number of best classes to send in its place; 0 for the tensor itself.
    """

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a model takes, and how much of it at once.

    Attributes:
        shape: channels, height and width of its images.
        images: most images in a request.
        outputs: names of its outputs.
    """

    shape: tuple[int, int, int]
    images: int
    outputs: tuple[str, ...] = OUTPUTS


@dataclass(frozen=True, slots=True)
class InferRequest:
    """What a client asks for.

    Attributes:
        images: uint8 [N, C, H, W], read-only perhaps; None where files were sent.
        files: contents of picture files.
        outputs: outputs asked for, in their order.
        request_id: name that the client gave the request, which the answer gives back; None for none.
        timeout: seconds that the client waits at most; None where it did not say.
        parameters: the other parameters.
        binary: whether outputs are binary for which the request doesn't say.
    """

    images: Uint8Array | None
    files: tuple[bytes, ...]
    outputs: tuple[WantedOutput, ...]
    request_id: str | None = None
    timeout: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    binary: bool = True


def read_infer_request(body: bytes, header_length: str | None, limits: RequestLimits) -> InferRequest:
    """Read the body of an inference request.

    Args:
        body: decompressed body.
        header_length: value of `Inference-Header-Content-Length`, None where it was not sent. With 0 the whole body
            is one picture: a file, or its pixels as the model takes them.
        limits: shape and number of the images that the model takes.

    Raises:
        RequestError: 413 more images than the limit; 400 anything else that the protocol or the model does not take.
    """
    if header_length is not None and json_length(header_length) == 0:
        return _raw_request(body, limits)
    text, binary = split_body(body, header_length)
    data = parse_object(text)
    parameters = dict(object_of(data.get("parameters"), "'parameters'"))
    binary_output = _flag(parameters.pop("binary_data_output", False), "binary_data_output")
    timeout = _timeout(parameters.pop("timeout", None))
    tensor = _only(_inputs(data.get("inputs"), binary))
    images, files = _content(tensor, limits)
    wanted = _outputs(data.get("outputs"), limits.outputs, binary=binary_output)
    return InferRequest(images, files, wanted, _request_id(data.get("id")), timeout, parameters, binary_output)


def stated_images(text: bytes) -> int | None:
    """Return the number of images that a request says it has, by its JSON alone; None where that can't be told.

    What is wrong with it, `read_infer_request` says.
    """
    try:
        (tensor,) = _objects(parse_object(text).get("inputs"), "'inputs'")
        count = read_shape(tensor.get("shape"), "")[0]
    except (RequestError, ValueError, IndexError):
        return None
    return count


def _raw_request(body: bytes, limits: RequestLimits) -> InferRequest:
    wanted = tuple(WantedOutput(name, binary=True) for name in limits.outputs)
    if format_of(body[:START_BYTES]) is None and len(body) == math.prod(limits.shape):
        return InferRequest(np.frombuffer(body, dtype=np.uint8).reshape(1, *limits.shape), (), wanted)
    return InferRequest(None, (body,), wanted)


def _inputs(value: object, binary: memoryview) -> list[InputTensor]:
    found = []
    for item in _objects(value, "'inputs'"):
        name, datatype = item.get("name"), item.get("datatype")
        if not isinstance(name, str) or not isinstance(datatype, str):
            raise refuse("An input needs 'name' and 'datatype', both of them strings.")
        parameters = object_of(item.get("parameters"), f"'parameters' of the input '{shown(name)}'")
        raw, binary = _take(parameters.get("binary_data_size"), binary, name)
        data = item.get("data")
        if (raw is None) == (data is None):
            raise refuse(f"The input '{shown(name)}' needs either 'data' or the parameter 'binary_data_size'.")
        if data is not None and not isinstance(data, list):
            raise refuse(f"'data' of the input '{shown(name)}' must be a list.")
        found.append(InputTensor(name, datatype, read_shape(item.get("shape"), name), raw, data))
    if len(binary):
        raise refuse(f"Behind the binary tensors {len(binary):,} bytes are left. Is {HEADER_LENGTH} right?")
    return found


def _take(size: object, binary: memoryview, name: str) -> tuple[memoryview | None, memoryview]:
    if size is None:
        return None, binary
    if type(size) is not int or size < 0:
        raise refuse(f"'binary_data_size' of the input '{shown(name)}' must be a number of bytes.")
    if size > len(binary):
        raise refuse(f"The input '{shown(name)}' states {size:,} bytes of binary data; {len(binary):,} are left.")
    return binary[:size], binary[size:]


def _only(tensors: list[InputTensor]) -> InputTensor:
    for tensor in tensors:
        if tensor.name not in (IMAGES, ENCODED):
            raise refuse(f"There is no input '{shown(tensor.name)}'. The inputs are '{IMAGES}' and '{ENCODED}'.")
    if len(tensors) != 1:
        raise refuse(f"A request has one input, '{IMAGES}' or '{ENCODED}'; this one has {len(tensors)}.")
    return tensors[0]


def _content(tensor: InputTensor, limits: RequestLimits) -> tuple[Uint8Array | None, tuple[bytes, ...]]:
    expected = "UINT8" if tensor.name == IMAGES else "BYTES"
    if tensor.datatype != expected:
        raise refuse(f"The input '{tensor.name}' has the datatype {expected}, not '{shown(tensor.datatype)}'.")
    shape = tensor.shape
    if tensor.name == IMAGES and (not shape or shape[1:] != limits.shape):
        raise refuse(f"The input '{IMAGES}' has the shape [N, {_comma(limits.shape)}], not [{_comma(shape)}].")
    if tensor.name == ENCODED and (not shape or shape[1:] not in ((), (1,))):
        raise refuse(f"The input '{ENCODED}' has the shape [N], a picture file each, not [{_comma(shape)}].")
    if shape[0] == 0:
        raise refuse(f"The input '{tensor.name}' holds no image.")
    if shape[0] > limits.images:
        raise RequestError(413, f"{shape[0]:,} images in one request; at most {limits.images:,} are taken.")
    if tensor.name == IMAGES:
        return read_pixels(tensor), ()
    return None, tuple(read_byte_strings(tensor))


def _outputs(value: object, known: tuple[str, ...], *, binary: bool) -> tuple[WantedOutput, ...]:
    if value is None or value == []:
        return tuple(WantedOutput(name, binary) for name in known)
    found: dict[str, WantedOutput] = {}
    for item in _objects(value, "'outputs'"):
        name = item.get("name")
        if not isinstance(name, str) or name not in known:
            raise refuse(f"There is no output '{shown(str(name))}'. The outputs are {_comma(known)}.")
        if name in found:
            raise refuse(f"The output '{name}' was asked for twice.")
        parameters = object_of(item.get("parameters"), f"'parameters' of the output '{name}'")
        own = _flag(parameters.get("binary_data", binary), "binary_data")
        found[name] = WantedOutput(name, own, _classes(parameters.get("classification", 0)))
    return tuple(found.values())


def _classes(value: object) -> int:
    if type(value) is not int or value < 0:
        raise refuse("'classification' must be a number of classes.")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise refuse(f"'{name}' must be true or false.")
    return value


def _timeout(value: object) -> float | None:
    """Read a time in microseconds; 0 stands for the server's own, as in Triton."""
    if value is None or value == 0:
        return None
    if type(value) is not int or not 0 < value <= _MAX_MICROSECONDS:
        raise refuse("'timeout' must be a whole number of microseconds.")
    return value / 1e6


def _request_id(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise refuse("'id' must be a string.")
    return value


def _objects(value: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
        raise refuse(f"{what} must be a list of objects, and not empty.")
    if len(value) > _MAX_TENSORS:
        raise refuse(f"{what} has {len(value):,} items; at most {_MAX_TENSORS} are taken.")
    return cast("list[dict[str, Any]]", value)


def _comma(parts: tuple[object, ...]) -> str:
    return ", ".join(map(str, parts))
