"""How much memory a dataset may take before it is streamed instead."""

from pathlib import Path
from typing import Final

_RESIDENT_SHARE: Final = 0.5
_MEMINFO: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")


def resident_budget() -> int:
    """Return how many bytes of images may be held: half of what is available to this process."""
    limits = [limit for limit in (_system_available(), _cgroup_available()) if limit is not None]
    return int(min(limits, default=1 << 30) * _RESIDENT_SHARE)


def _system_available() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _cgroup_available() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        return None if limit == "max" else int(limit) - int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return None
