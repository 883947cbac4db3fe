"""How many processors this process may really use."""

import math
import os
from pathlib import Path
from typing import Final

_CGROUP_V2: Final = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1: Final = Path("/sys/fs/cgroup/cpu")


def usable_cpus() -> int:
    """Return the processors of the affinity mask, or fewer where the container's CPU quota is smaller; at least 1.

    The host's core count, which ONNX Runtime uses by default, oversubscribes a container many times over
    (microsoft/onnxruntime issue 8313).
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, affinity if quota is None else min(affinity, math.ceil(quota)))


def cgroup_quota(v2: Path = _CGROUP_V2, v1: Path = _CGROUP_V1) -> float | None:
    """Return the CPU quota of this container in processors, or None where there is no limit.

    Read from cgroup v2's `cpu.max` ("quota period", in microseconds), else from v1's `cpu.cfs_quota_us` and
    `cpu.cfs_period_us` (see the Linux kernel's cgroup documentation).
    """
    for read, path in ((_read_v2, v2), (_read_v1, v1)):
        try:
            return read(path)
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


def _read_v2(path: Path) -> float | None:
    quota, period = path.read_text().split()
    return None if quota == "max" else int(quota) / int(period)


def _read_v1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    period = int((folder / "cpu.cfs_period_us").read_text())
    return None if quota <= 0 else quota / period
