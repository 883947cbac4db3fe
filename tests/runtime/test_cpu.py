import os
import subprocess
import sys
from pathlib import Path

import pytest

from torchstone_runtime import cpu


@pytest.mark.parametrize(
    ("content", "quota"),
    [("200000 100000\n", 2.0), ("50000 100000", 0.5), ("max 100000\n", None), ("150000 100000", 1.5)],
)
def test_quota_of_cgroup_v2(tmp_path: Path, content: str, quota: float | None) -> None:
    """Quota over period, or no limit for `max`."""
    path = tmp_path / "cpu.max"
    path.write_text(content)
    assert cpu.cgroup_quota(path, tmp_path) == quota


@pytest.mark.parametrize(("quota", "expected"), [("300000", 3.0), ("-1", None), ("0", None)])
def test_quota_of_cgroup_v1(tmp_path: Path, quota: str, expected: float | None) -> None:
    """Where there is no v2 file, v1's two files say it; -1 is no limit."""
    (tmp_path / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert cpu.cgroup_quota(tmp_path / "cpu.max", tmp_path) == expected


def test_v2_comes_before_v1(tmp_path: Path) -> None:
    """Where both are mounted, v2 decides, also when it states no limit."""
    (tmp_path / "cpu.max").write_text("max 100000")
    (tmp_path / "cpu.cfs_quota_us").write_text("100000")
    (tmp_path / "cpu.cfs_period_us").write_text("100000")
    assert cpu.cgroup_quota(tmp_path / "cpu.max", tmp_path) is None


@pytest.mark.parametrize("content", ["", "garbage", "1 2 3", "100000 0", "x y", "\0"])
def test_garbage_is_no_limit(tmp_path: Path, content: str) -> None:
    """A file that cannot be understood, or none, does not stop the program."""
    for name in ("cpu.max", "cpu.cfs_quota_us", "cpu.cfs_period_us"):
        (tmp_path / name).write_text(content)
    assert cpu.cgroup_quota(tmp_path / "cpu.max", tmp_path) is None
    assert cpu.cgroup_quota(tmp_path / "none", tmp_path / "none") is None


@pytest.mark.parametrize(("quota", "expected"), [(0.3, 1), (1.2, 2), (2.0, 2), (64.0, 8), (None, 8)])
def test_the_smaller_of_affinity_and_quota_counts(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, expected: int
) -> None:
    """A quota is rounded up, and never gives more than the affinity mask or less than one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cpu, "cgroup_quota", lambda: quota)
    assert cpu.usable_cpus() == expected


def test_the_affinity_mask_is_followed() -> None:
    """A process bound to one processor uses one thread."""
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from torchstone_runtime.cpu import usable_cpus; print(usable_cpus())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "1\n"
