"""The body of a request: decompressed within a limit, and parted into its JSON and its binary tensors."""

import json
import re
import zlib
from typing import Any, Final, NoReturn

from torchstone_runtime.protocol.large_json import LARGE, decode_large
from torchstone_runtime.protocol.request_error import RequestError, refuse
from torchstone_runtime.text import showable

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
"""Header that states how many bytes of a body are JSON; what follows are binary tensors."""

_WINDOW_BITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's `wbits` of the codings: RFC 1952, and of "deflate" the zlib format (RFC 9110, section 8.4.1.2)."""
_MOST_MEMBERS: Final = 1_000
"""Parts that a compressed body may consist of (RFC 1952, section 2.2): empty ones take time, but no room."""
_SLICE: Final = 64 << 10
"""Bytes that are decompressed at a time: what is left of them at the end of a part is copied."""
_LENGTH: Final = re.compile(r"[0-9]{1,15}")
_MAX_SHOWN: Final = 80


def decompress(content: bytes, coding: str, limit: int) -> bytes:
    """Return a body without its `Content-Encoding`.

    Args:
        content: body as it was sent.
        coding: the header's value: `gzip`, `deflate`, `identity` or nothing.
        limit: most bytes that it may decompress to.

    Raises:
        RequestError: 415 another coding, 413 more than `limit` bytes, 400 damaged, cut short or in too many parts.
    """
    name = coding.strip().lower()
    if name in ("", "identity"):
        return content
    if name not in _WINDOW_BITS:
        raise RequestError(415, f"The Content-Encoding '{shown(coding)}' is not known. Send gzip, deflate or none.")
    parts: list[bytes] = []
    room, rest = limit, memoryview(content)
    for _ in range(_MOST_MEMBERS):
        try:
            part, size = _first_member(rest, name, room)
        except zlib.error as error:
            raise refuse(f"The body is not valid {name}: {error}.") from error
        room -= len(part)
        if room < 0:
            raise RequestError(413, f"The body decompresses to more than {limit:,} bytes, the most that is taken.")
        parts.append(part)
        rest = rest[size:]
        if not rest:
            return b"".join(parts)
    raise refuse(f"The body consists of more than {_MOST_MEMBERS:,} parts that were compressed by themselves.")


def _first_member(rest: memoryview, name: str, room: int) -> tuple[bytes, int]:
    """Return what a member decompresses to, one byte more than there is room for at most, and the size that it had."""
    reader = zlib.decompressobj(_WINDOW_BITS[name])
    parts: list[bytes] = []
    size = 0
    while not reader.eof and room >= 0:
        piece = rest[size : size + _SLICE]
        if not piece:
            raise refuse(f"The body is not valid {name}: it ends too early.")
        parts.append(reader.decompress(piece, room + 1))
        room -= len(parts[-1])
        size += len(piece) - len(reader.unused_data)
    return b"".join(parts), size


def split_body(body: bytes, header_length: str | None) -> tuple[bytes, memoryview]:
    """Part a body into its JSON and the binary tensors behind it.

    Args:
        body: decompressed body.
        header_length: value of the header `Inference-Header-Content-Length`; None where it was not sent, so that all
            of the body is JSON.

    Raises:
        RequestError: the length is not a number, or larger than the body.
    """
    if header_length is None:
        return body, memoryview(b"")
    length = json_length(header_length)
    if length > len(body):
        raise refuse(f"{HEADER_LENGTH} is {length:,}, but the body has {len(body):,} bytes only.")
    return body[:length], memoryview(body)[length:]


def json_length(header_length: str) -> int:
    """Return the number that `Inference-Header-Content-Length` states.

    Raises:
        RequestError: it is not a number.
    """
    if not _LENGTH.fullmatch(header_length.strip()):
        raise refuse(f"{HEADER_LENGTH} is '{shown(header_length)}'; expected a number of bytes.")
    return int(header_length)


def parse_object(content: bytes) -> dict[str, Any]:
    """Read a JSON object of a request (RFC 8259); no content is an empty one.

    Raises:
        RequestError: it is no UTF-8, not valid JSON (NaN and infinities are not), too deeply nested, or no object.
    """
    if not content:
        return {}
    try:
        text = content.decode("utf-8")
        data = _DECODER.decode(text) if len(text) < LARGE else decode_large(_DECODER, text)
    except UnicodeDecodeError as error:
        raise refuse(
            f"The JSON of the request is not valid UTF-8. Where binary tensors follow it, {HEADER_LENGTH} must say "
            "where it ends."
        ) from error
    except RecursionError as error:
        raise refuse("The JSON of the request is nested too deeply.") from error
    except ValueError as error:
        raise refuse(f"The request is not valid JSON: {shown(str(error))}.") from error
    if not isinstance(data, dict):
        raise refuse(f"The request is a JSON {type(data).__name__}; expected an object.")
    return data


def shown(text: str) -> str:
    """Return text that came with a request as a message may show it: on one line, and not too long."""
    return showable(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "…")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
