"""JSON that every reader accepts: a number that is not finite, which JSON has no sign for, becomes null."""

import json
import math
from collections.abc import Mapping
from typing import Any

from torchstone_runtime.json_text import json_text


def strict_json(
    data: Any,  # noqa: ANN401 - whatever JSON can hold
    *,
    indent: int | None = None,
    sort_keys: bool = False,
    ensure_ascii: bool = False,
) -> str:
    """Return JSON data as text, with null in the place of NaN and infinities (RFC 8259, section 6).

    Args:
        data: JSON data to write.
        indent: spaces by which each level is indented, laid out as `json_text` does; None for one line.
        sort_keys: whether the keys of objects are written in alphabetical order.
        ensure_ascii: whether characters beyond ASCII are escaped.
    """

    def written(data: Any) -> str:  # noqa: ANN401 - as above
        if indent is not None:
            return json_text(data, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii)
        return json.dumps(data, sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False)

    try:
        return written(data)
    except ValueError:
        return written(finite_values(data))


def finite_values(data: Any) -> Any:  # noqa: ANN401 - as above
    """Return JSON data with None in the place of numbers that are not finite."""
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: finite_values(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite_values(value) for value in data]
    return data
