"""Compressing an answer where the client asks for it and it is worth the time."""

import gzip
import zlib
from typing import Final

_WORTH_BYTES: Final = 1024
_FAST: Final = 1


def compress_for(accept: str, content: bytes) -> tuple[bytes, str | None]:
    """Return an answer's body as a client takes it, and the `Content-Encoding`, None where it was left as it is.

    Args:
        accept: value of the request's `Accept-Encoding`; empty where it was not sent.
        content: body of the answer; a short one is left alone.
    """
    if not accept or len(content) < _WORTH_BYTES:
        return content, None
    accepted = _codings(accept)
    if accepted.get("gzip", accepted.get("*", 0.0)) >= max(accepted.get("deflate", 0.0), 1e-9):
        return gzip.compress(content, _FAST, mtime=0), "gzip"
    if accepted.get("deflate", 0.0) > 0:
        return zlib.compress(content, _FAST), "deflate"
    return content, None


def _codings(accept: str) -> dict[str, float]:
    """Read the weights of RFC 9110, section 12.5.3; one that is not a number counts as 0."""
    found = {}
    for item in accept.lower().split(","):
        name, _, parameter = item.partition(";")
        weight = 1.0
        if parameter.strip().startswith("q="):
            try:
                weight = float(parameter.strip()[2:])
            except ValueError:
                weight = 0.0
        found[name.strip()] = weight
    return found
