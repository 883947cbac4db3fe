"""How many classes a bundle can hold, and how long their names may be."""

import json
from collections.abc import Sequence
from typing import Final

from torchstone_runtime.errors import DataError

MAX_MANIFEST_BYTES: Final = 16 << 20
MAX_CLASSES: Final = 65_536
LONGEST_NAME: Final = 1000
"""Characters: more than a file system takes, and than a person reads."""
_MAX_NAMES_BYTES: Final = MAX_MANIFEST_BYTES // 2
"""What the names may take of a manifest; the rest of it stays far below the other half."""
_SHOWN: Final = 60


def require_describable(class_names: Sequence[str], what: str) -> None:
    """Check that a manifest can hold the names, before any work is done on a model with these classes.

    Args:
        class_names: K names.
        what: the data that they come from.

    Raises:
        DataError: more than 65,536 classes, a name of more than 1,000 characters, or names that take more than 8 MiB.
    """
    if len(class_names) > MAX_CLASSES:
        raise DataError(
            f"{what} has {len(class_names):,} classes; a model can have {MAX_CLASSES:,} at most.", "Use fewer classes."
        )
    longest = max(class_names, key=len, default="")
    if len(longest) > LONGEST_NAME:
        raise DataError(
            f"{what} has a class name of {len(longest):,} characters: '{longest[:_SHOWN]}…'; a class name can have "
            f"{LONGEST_NAME:,} at most.",
            "Give the class a shorter name.",
        )
    size = len(json.dumps(list(class_names), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size > _MAX_NAMES_BYTES:
        raise DataError(
            f"The names of the {len(class_names):,} classes of {what} take {size:,} bytes; a bundle's manifest has "
            f"room for {_MAX_NAMES_BYTES:,}.",
            "Give the classes shorter names.",
        )
