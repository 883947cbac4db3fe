"""JSON files that state the version of their format."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchstone_runtime.errors import DataError
from torchstone_runtime.files import write_atomic
from torchstone_runtime.strict_json import strict_json


def write_versioned(file: Path, version: int, content: Mapping[str, Any]) -> None:
    """Write a file whole, its version first.

    Raises:
        OutputError: it can't be written.
    """
    write_atomic(file, strict_json({"format_version": version, **content}, indent=2) + "\n")


def read_versioned(file: Path, version: int, remedy: str) -> dict[str, Any]:
    """Return what `write_versioned` wrote, version included; `remedy` says what to do about a damaged file.

    Raises:
        DataError: not JSON, or of another format version.
    """
    try:
        content = json.loads(file.read_bytes())
        found = content["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is not valid: {error!r}.", remedy) from error
    if found != version:
        raise DataError(f"{file} has format version {found}; this installation reads {version}.")
    return dict(content)
