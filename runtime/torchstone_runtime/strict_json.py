"""JSON that every reader accepts: a number that is not finite, which JSON has no sign for, becomes null."""

import json
import math
from collections.abc import Mapping
from typing import Any


def strict_json(
    data: Any,  # noqa: ANN401 - whatever JSON can hold
    *,
    indent: int | None = None,
    sort_keys: bool = False,
    ensure_ascii: bool = False,
) -> str:
    """Return JSON data as text, with null in the place of NaN and infinities (RFC 8259, section 6)."""
    try:
        return json.dumps(data, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False)
    except ValueError:
        finite = finite_values(data)
        return json.dumps(finite, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False)


def finite_values(data: Any) -> Any:  # noqa: ANN401 - as above
    """Return JSON data with None in the place of numbers that are not finite."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: finite_values(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite_values(value) for value in data]
    return data
