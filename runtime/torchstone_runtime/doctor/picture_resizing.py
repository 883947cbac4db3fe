"""What resizes pictures here: compiled code, or Pillow."""

from typing import Any

from torchstone_runtime.doctor.finding import Finding


def check_resizing(probed: dict[str, Any]) -> Finding | None:
    """Report whether this installation resizes pictures by compiled code; None where it could not be tried."""
    found = probed.get("resizing")
    if found is None:
        return None
    if found["compiled"]:
        how = "with vectors" if found["vectors"] else "without vectors, which this processor lacks"
        return Finding("resizing", "ok", f"pictures are resized by compiled code, {how}", details=found)
    return Finding(
        "resizing",
        "note",
        "pictures are resized by Pillow: the same pixels, but several times as slowly as by compiled code",
        "With Pillow 13 or later and a C compiler (Debian: apt install gcc), install Torchstone again from its source.",
        found,
    )
