"""Whether an export's outputs fit into memory: asked before the work begins, not answered by the kernel at its end."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import DataError
from torchstone_runtime.system.container import memory_limit

_MEMINFO: Final = Path("/proc/meminfo")
_HELD: Final = 8 + 4
"""Bytes an output takes to the end: in float64 and in float32."""
_HELD_BY_VARIANT: Final = 4
_COMPARED: Final = 2 * 8
"""Bytes that the comparison of the largest split takes for a while: a difference and its absolute value."""
_GIB: Final = 1 << 30


def require_room(splits: Iterable[Split], variants: int, available: int | None = None) -> None:
    """Check that logits of all images and classes can be held at once.

    What is required is the least that an export is sure to take; it may take half as much again.

    Args:
        splits: over which a model is certified, at least one.
        variants: exact variants that are made.
        available: bytes of memory; what this machine and this container have if None.

    Raises:
        DataError: they can't.
    """
    parts = list(splits)
    classes = len(parts[0].class_names)
    images = [len(part) for part in parts]
    needed = classes * (sum(images) * (_HELD + variants * _HELD_BY_VARIANT) + max(images) * _COMPARED)
    room = available_memory() if available is None else available
    if room is not None and needed > room:
        raise DataError(
            f"The logits of {sum(images):,} images for {classes:,} classes take {needed / _GIB:.1f} GiB of memory; "
            f"{room / _GIB:.1f} GiB are free here.",
            "Export on a machine with more memory, or from data with fewer validation and test images.",
        )


def available_memory() -> int | None:
    """Return the bytes that this process may still take, swap included; None where the system doesn't say."""
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        free = sum(int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree"))
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return min(free, memory_limit() or free)
