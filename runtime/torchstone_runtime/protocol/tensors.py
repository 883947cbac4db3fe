"""Tensors of a request and an answer: JSON numbers, raw bytes, and byte strings with their lengths before them."""

import base64
import binascii
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

from torchstone_runtime.arrays import BoolArray, Float32Array, Uint8Array
from torchstone_runtime.protocol.body import shown
from torchstone_runtime.protocol.request_error import refuse

_LENGTH: Final = struct.Struct("<I")
_MAX_RANK: Final = 8
_AT_ONCE: Final = 1 << 16
_FEW: Final = 100


@dataclass(frozen=True, slots=True)
class InputTensor:
    """An input of a request, whose content has not been looked at.

    Attributes:
        name: name of the input.
        datatype: datatype by its name in the protocol: `UINT8`, `BYTES` and so on.
        shape: sizes of the axes, 0 or more each.
        raw: content of a binary tensor; None where it is in `data`.
        data: content as JSON data, nested or flat.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: memoryview | None
    data: list[Any] | None


@dataclass(frozen=True, slots=True)
class OutputTensor:
    """An output of an answer: numbers, or byte strings in row-major order.

    Attributes:
        name: name of the output.
        content: float32 or bool array, or texts in row-major order of `shape`.
        shape: sizes of the axes.
    """

    name: str
    content: Float32Array | BoolArray | Sequence[str]
    shape: tuple[int, ...]

    @property
    def datatype(self) -> str:
        """Name of the datatype in the protocol: `FP32`, `BOOL`, or `BYTES` for texts."""
        if not isinstance(self.content, np.ndarray):
            return "BYTES"
        return "BOOL" if self.content.dtype == np.bool_ else "FP32"

    def to_bytes(self) -> bytes:
        """Return the binary tensor: little-endian, row-major; before each byte string its length as uint32."""
        if isinstance(self.content, np.ndarray):
            return self.content.astype("?" if self.datatype == "BOOL" else "<f4", copy=False).tobytes()
        encoded = [text.encode() for text in self.content]
        return b"".join(part for text in encoded for part in (_LENGTH.pack(len(text)), text))

    def to_list(self) -> list[Any]:
        """Return the content as flat JSON data; null where a number is not finite, for which JSON has no sign."""
        if not isinstance(self.content, np.ndarray):
            return list(self.content)
        flat = self.content.ravel()
        values: list[Any] = flat.tolist()
        # A call of NumPy takes as long as a hundred numbers do.
        if np.isfinite(flat).all() if len(values) > _FEW else all(map(math.isfinite, values)):
            return values
        return [value if math.isfinite(value) else None for value in values]


def read_shape(value: object, name: str) -> tuple[int, ...]:
    """Return a shape that a request states.

    Raises:
        RequestError: it is not a list of at most eight whole numbers, 0 or more each.
    """
    whole = isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)
    if not whole or len(cast("list[int]", value)) > _MAX_RANK:
        raise refuse(f"The shape of the input '{shown(name)}' is not a list of whole numbers.")
    return tuple(cast("list[int]", value))


def read_pixels(tensor: InputTensor) -> Uint8Array:
    """Return the pixels of an input of datatype UINT8, as uint8 of its own shape, which the caller has checked.

    Raises:
        RequestError: another number of values than its shape has, or a value that is not a whole number from 0 to 255.
    """
    count = math.prod(tensor.shape)
    if tensor.raw is not None:
        if len(tensor.raw) != count:
            raise _wrong_count(tensor, len(tensor.raw), count)
        return np.frombuffer(tensor.raw, dtype=np.uint8).reshape(tensor.shape)
    if (listed := _listed(tensor, count)) is not None:
        return listed.reshape(tensor.shape)
    values = _array(tensor)
    if values.size != count:
        raise _wrong_count(tensor, values.size, count)
    if values.ndim > 1 and values.shape != tensor.shape:
        raise refuse(
            f"The data of the input '{tensor.name}' has the shape {list(values.shape)}, not the one it states."
        )
    if values.dtype.kind not in "iu" or int(values.min()) < 0 or int(values.max()) > np.iinfo(np.uint8).max:
        raise refuse(f"The input '{tensor.name}' holds a value that is not a whole number from 0 to 255.")
    return values.astype(np.uint8).reshape(tensor.shape)


def read_byte_strings(tensor: InputTensor) -> list[bytes]:
    """Return the elements of an input of datatype BYTES; in JSON each is a file in Base64 (RFC 4648, section 4).

    Raises:
        RequestError: another number of elements than its shape has, or one that is cut short or no Base64.
    """
    count = math.prod(tensor.shape)
    if tensor.raw is not None:
        found = list(_elements(tensor.raw, tensor.name, count))
    else:
        items = _flat(tensor.data or [])
        found = [_from_base64(item, tensor.name) for item in items] if len(items) == count else [b""] * len(items)
    if len(found) != count:
        raise _wrong_count(tensor, len(found), count)
    return found


def _elements(raw: memoryview, name: str, most: int) -> Iterator[bytes]:
    place = 0
    for _ in range(most):
        if place + _LENGTH.size > len(raw):
            break
        (length,) = _LENGTH.unpack_from(raw, place)
        start = place + _LENGTH.size
        if length > len(raw) - start:
            raise refuse(f"An element of the input '{name}' states {length:,} bytes; {len(raw) - start:,} are left.")
        yield bytes(raw[start : start + length])
        place = start + length
    if place != len(raw):
        raise refuse(f"Behind the elements of the input '{name}' {len(raw) - place:,} bytes are left.")


def _from_base64(item: object, name: str) -> bytes:
    try:
        if not isinstance(item, str):
            raise ValueError("not a string")  # noqa: TRY004 - all of it is told alike
        return base64.b64decode(item, validate=True)
    except (ValueError, binascii.Error) as error:
        raise refuse(f"An element of the input '{name}' is not Base64. In JSON, a file is sent as Base64.") from error


def _flat(data: list[Any]) -> list[Any]:
    # One level: [n, 1] is as good as [n].
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data]


def _listed(tensor: InputTensor, count: int) -> Uint8Array | None:
    """Return the values of a flat list of whole numbers from 0 to 255, else None; NumPy takes four times as long."""
    data = tensor.data
    if not data or len(data) != count or count > _AT_ONCE or type(data[0]) is not int:
        return None
    try:
        return np.frombuffer(bytes(data), dtype=np.uint8)
    except (TypeError, ValueError):
        return None


def _array(tensor: InputTensor) -> "np.ndarray[Any, np.dtype[Any]]":
    data = tensor.data or []
    # By parts, so that other threads get their turn; each takes about a millisecond.
    step = max(1, _AT_ONCE * len(data) // max(1, math.prod(tensor.shape)))
    try:
        if len(data) <= step:
            values = np.asarray(data)
        else:
            values = np.concatenate([np.asarray(data[at : at + step]) for at in range(0, len(data), step)])
    except (ValueError, OverflowError, RecursionError) as error:
        raise refuse(f"The data of the input '{tensor.name}' is not a flat or regularly nested list.") from error
    return values


def _wrong_count(tensor: InputTensor, found: int, expected: int) -> Exception:
    what = "bytes" if tensor.raw is not None and tensor.datatype == "UINT8" else "values"
    return refuse(f"The input '{tensor.name}' has {found:,} {what}; its shape {list(tensor.shape)} has {expected:,}.")


def object_of(value: object, what: str) -> Mapping[str, Any]:
    """Return JSON data that must be an object; null counts as an empty one.

    Raises:
        RequestError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise refuse(f"{what} must be a JSON object.")
    return value
