"""Single fields of a spec, as text or as values: read, or refused with what was expected."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from torchstone_export.foreign.model_spec import EXAMPLE
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import is_showable


def require_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    """Check that a value is one of those allowed, or None.

    Raises:
        UsageError: it is another.
    """
    if value is not None and value not in allowed:
        raise UsageError(f"The spec's '{name}' is {value!r}; expected one of: {', '.join(allowed)}.")


def shape_of(value: object) -> tuple[int, int, int]:
    """Return channels, height and width of `3x224x224` or three numbers.

    Raises:
        UsageError: it is something else, or channels that pictures don't have.
    """
    parts = value.lower().split("x") if isinstance(value, str) else value
    try:
        channels, height, width = (int(part) for part in cast("Sequence[Any]", parts))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The spec's 'input' is {value!r}; expected channels x height x width.", "For example 3x224x224."
        ) from error
    if channels not in (1, 3):
        raise UsageError(f"The spec's 'input' has {channels} channels; images have 1 (L) or 3 (RGB or BGR).")
    return channels, height, width


def numbers_of(name: str, value: object, channels: int) -> tuple[float, ...]:
    """Return one finite number per channel, of text or numbers; of `std` greater than 0. One stands for all channels.

    Raises:
        UsageError: it is something else.
    """
    parts = value.split(",") if isinstance(value, str) else value
    parts = [parts] if isinstance(parts, int | float) and not isinstance(parts, bool) else parts
    try:
        numbers = tuple(float(part) for part in cast("Sequence[Any]", parts))
    except (TypeError, ValueError) as error:
        raise UsageError(f"The spec's '{name}' is {value!r}; expected {channels} numbers.", EXAMPLE) from error
    if len(numbers) not in (1, channels):
        raise UsageError(
            f"The spec's '{name}' has {len(numbers)} values, but input has {channels} channels.",
            "Give one per channel, or one for all.",
        )
    numbers = numbers * channels if len(numbers) == 1 else numbers
    if not all(map(math.isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        raise UsageError(f"The spec's '{name}' is {value!r}: every value must be finite, and std greater than 0.")
    return numbers


def classes_of(value: object, folder: Path) -> tuple[str, ...]:
    """Return class names of text, of a list, or of a file in `folder`: `@FILE`.

    Raises:
        UsageError: fewer than two names, one that occurs twice or can't be shown, or no such file.
    """
    if isinstance(value, str) and value.startswith("@"):
        value = _read_lines(folder / value[1:])
    elif isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"The spec's 'classes' is {value!r}; expected names, or @FILE with one name per line.")
    names = tuple(value)
    if len(names) < 2:  # noqa: PLR2004 - what a classifier tells apart
        raise UsageError("The spec's 'classes' needs at least two names.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"The spec's 'classes' has '{twice[0]}' twice.")
    if odd := [name for name in names if not name or not is_showable(name)]:
        raise UsageError(f"The spec's 'classes' has {odd[0]!r}: empty, or with control characters.")
    return names


def _read_lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The classes cannot be read from {path}: {error}.", "One name per line, UTF-8.") from error


def threshold_of(value: object) -> float | None:
    """Return a number between 0 and 1, or None.

    Raises:
        UsageError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise UsageError(
            f"The spec's 'positive_threshold' is {value!r}; expected a number between 0 and 1.", "Or none: 0.5."
        )
    return float(value)


def optional_text(name: str, value: object) -> str | None:
    """Return text that can be shown, or None.

    Raises:
        UsageError: it is something else.
    """
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool | list | dict) or not text or not is_showable(text):
        raise UsageError(f"The spec's '{name}' is {value!r}; expected text without control characters.")
    return text


def whole_of(name: str, value: object, low: int, high: int) -> int | None:
    """Return a whole number from `low` to `high`, or None.

    Raises:
        UsageError: it is something else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"The spec's '{name}' is {value!r}; expected a whole number from {low} to {high}.")
    return value


def flag_of(name: str, value: object, *, default: bool) -> bool:
    """Return true or false, the default for None.

    Raises:
        UsageError: it is something else.
    """
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"The spec's '{name}' is {value!r}; expected true or false.")
    return default if value is None else value
