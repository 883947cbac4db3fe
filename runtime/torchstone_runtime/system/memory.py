"""The memory of the machine and of the container that this process runs in."""

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchstone_runtime.system.container import memory_headroom

_MEMINFO: Final = Path("/proc/meminfo")
_KIB: Final = 1 << 10


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """Memory of the machine in bytes, as Linux tells it; None where the system does not.

    Attributes:
        total: all of it.
        available: bytes that a program can get without swapping.
    """

    total: int | None
    available: int | None

    @classmethod
    def read(cls, meminfo: Path = _MEMINFO) -> "MachineMemory":
        """Read `/proc/meminfo`."""
        fields = {}
        try:
            for line in meminfo.read_text().splitlines():
                name, _, value = line.partition(":")
                fields[name] = int(value.split()[0]) * _KIB
        except (OSError, ValueError, IndexError):  # not Linux
            return cls(None, None)
        return cls(fields.get("MemTotal"), fields.get("MemAvailable"))


def memory_available() -> int | None:
    """Return the bytes that this process can still get: the machine's, or fewer where a container's limit is nearer.

    Control groups of versions 1 and 2 and all levels of nested ones count. None where neither is known.
    """
    known = [left for left in (MachineMemory.read().available, memory_headroom()) if left is not None]
    return min(known, default=None)


def give_back_freed_memory() -> None:
    """Give the system what this process has freed; glibc keeps it otherwise, in the arenas of its threads.

    Nothing happens with a C library that has no `malloc_trim`.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


def peak_memory() -> int:
    """Return the largest resident memory of this process so far, in bytes; 0 on Windows, where it is not measured."""
    try:
        # Unlike getrusage's figure, this one does not count the process that started this one.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return _peak_memory_elsewhere()


def _peak_memory_elsewhere() -> int:
    peak = 0
    if sys.platform != "win32":
        import resource  # noqa: PLC0415 - POSIX only

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
