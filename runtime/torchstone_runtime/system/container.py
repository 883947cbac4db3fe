"""The limits of the container that this process runs in: Linux control groups, versions 1 and 2.

A group's limit holds for all groups inside it, so every level from the process's own group up to the mounted root
counts, and the smallest limit decides (Linux kernel, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_PROCESS: Final = Path("/proc/self")
_NO_MEMORY_LIMIT: Final = 1 << 60
"""Version 1 says "no limit" with the largest multiple of a page below 2^63."""


def cpu_quota(process: Path = _PROCESS) -> float | None:
    """Return the CPU time that the process may use, in processors, or None where there is no limit.

    From version 2's `cpu.max` ("quota period", in microseconds) and version 1's `cpu.cfs_quota_us` and
    `cpu.cfs_period_us`.

    Args:
        process: its folder below /proc.
    """
    return _smallest(process, "cpu", _cpu_of_group)


def memory_limit(process: Path = _PROCESS) -> int | None:
    """Return the memory that the process's groups may use, in bytes, or None where there is no limit.

    From version 2's `memory.max` and version 1's `memory.limit_in_bytes`.

    Args:
        process: its folder below /proc.
    """
    limit = _smallest(process, "memory", _memory_of_group)
    return None if limit is None else int(limit)


def memory_headroom(process: Path = _PROCESS) -> int | None:
    """Return the memory that the process's groups have left, in bytes and at least 0, or None where there is no limit.

    What a group uses is its working set, as Kubernetes counts it: usage without the page cache that the kernel gives
    up first (`inactive_file` of `memory.stat`).

    Args:
        process: its folder below /proc.
    """
    left = _smallest(process, "memory", _headroom_of_group)
    return None if left is None else max(0, int(left))


def _smallest(process: Path, controller: str, read: Callable[[Path], float | None]) -> float | None:
    limits = []
    for group in _groups(process, controller):
        try:
            limit = read(group)
        except (OSError, ValueError, ZeroDivisionError):  # a level without the controller, as the root is
            continue
        if limit is not None:
            limits.append(limit)
    return min(limits, default=None)


def _cpu_of_group(group: Path) -> float | None:
    version_2 = group / "cpu.max"
    if version_2.exists():
        quota, period = version_2.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    microseconds = int((group / "cpu.cfs_quota_us").read_text())
    return None if microseconds <= 0 else microseconds / int((group / "cpu.cfs_period_us").read_text())


def _memory_of_group(group: Path) -> float | None:
    version_2 = group / "memory.max"
    if version_2.exists():
        text = version_2.read_text().strip()
        return None if text == "max" else int(text)
    limit = int((group / "memory.limit_in_bytes").read_text())
    return None if limit >= _NO_MEMORY_LIMIT else limit


def _headroom_of_group(group: Path) -> float | None:
    limit = _memory_of_group(group)
    if limit is None:
        return None
    version_2 = (group / "memory.max").exists()
    usage = int((group / ("memory.current" if version_2 else "memory.usage_in_bytes")).read_text())
    return limit - max(0, usage - _reclaimable(group, "inactive_file" if version_2 else "total_inactive_file"))


def _reclaimable(group: Path, field: str) -> int:
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [field]), 0)


def _groups(process: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the process's group and of those around it, for each hierarchy with the controller."""
    try:
        own = dict(_own_groups((process / "cgroup").read_text(), controller))
        mounts = list(_mounts((process / "mountinfo").read_text(), controller))
    except (OSError, ValueError, IndexError):  # no Linux, or a kernel that writes something else
        return
    for kind, root, mount_point in mounts:
        if kind in own:
            yield from _levels(mount_point, _relative(own[kind], root))


def _own_groups(text: str, controller: str) -> Iterator[tuple[str, PurePosixPath]]:
    """Read /proc/PID/cgroup: `number:controllers:path`; version 2 has number 0 and names no controllers."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield "cgroup2", PurePosixPath(path)
        elif controller in controllers.split(","):
            yield "cgroup", PurePosixPath(path)


def _mounts(text: str, controller: str) -> Iterator[tuple[str, PurePosixPath, Path]]:
    """Read /proc/PID/mountinfo: type, root within the hierarchy, and mount point of each that may have the limit."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind_source_options = before.split(), after.split()
        kind, options = kind_source_options[0], kind_source_options[-1].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and controller in options):
            yield kind, PurePosixPath(_unescape(fields[3])), Path(_unescape(fields[4]))


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _relative(group: PurePosixPath, root: PurePosixPath) -> PurePosixPath:
    # A container may see the host's path of its group while only that group is mounted: then the mount is the group.
    inside = group.is_relative_to(root) and ".." not in group.parts
    return group.relative_to(root) if inside else PurePosixPath()


def _levels(mount_point: Path, group: PurePosixPath) -> Iterator[Path]:
    yield mount_point / group
    for parent in group.parents:
        yield mount_point / parent
