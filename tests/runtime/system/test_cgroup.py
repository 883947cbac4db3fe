"""Limits of control groups: written down as the kernel shows them, and in a real group where one can be made."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.system import container as cgroup
from torchstone_runtime.system import memory

V1 = "33 32 0:30 {root} {mount} rw,relatime - cgroup cgroup rw,{controllers}\n"
V2 = "41 31 0:38 {root} {mount} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
MakeGroup = Callable[[str, int], Path]


def process(folder: Path, groups: str, mounts: str) -> Path:
    """Write what /proc/PID would say."""
    made = folder / "proc"
    made.mkdir()
    (made / "cgroup").write_text(groups)
    (made / "mountinfo").write_text("22 28 0:20 / /proc rw,nosuid - proc proc rw\n" + mounts)
    return made


def write(group: Path, **values: str) -> None:
    """Write a group's files; double underscores stand for dots."""
    group.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (group / name.replace("__", ".")).write_text(f"{value}\n")


@pytest.mark.parametrize(
    ("content", "quota"),
    [("200000 100000", 2.0), ("50000 100000", 0.5), ("max 100000", None), ("150000 100000", 1.5)],
)
def test_quota_of_version_2(tmp_path: Path, content: str, quota: float | None) -> None:
    """Quota over period, or no limit for `max`."""
    write(tmp_path / "fs" / "pod", cpu__max=content)
    here = process(tmp_path, "0::/pod\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.cpu_quota(here) == quota


@pytest.mark.parametrize(("microseconds", "quota"), [("300000", 3.0), ("-1", None), ("0", None)])
def test_quota_of_version_1(tmp_path: Path, microseconds: str, quota: float | None) -> None:
    """Two files say it; -1 is no limit. Controllers may share a mount."""
    write(tmp_path / "fs" / "a", cpu__cfs_quota_us=microseconds, cpu__cfs_period_us="100000")
    mounts = V1.format(root="/", mount=tmp_path / "fs", controllers="cpu,cpuacct")
    assert cgroup.cpu_quota(process(tmp_path, "2:cpu,cpuacct:/a\n0::/\n", mounts)) == quota


@pytest.mark.parametrize(("inner", "outer", "quota"), [("max", "150000", 1.5), ("50000", "max", 0.5), ("9", "8", 8e-5)])
def test_the_smallest_limit_of_nested_groups_counts(tmp_path: Path, inner: str, outer: str, quota: float) -> None:
    """A limit holds for every group inside: that of a pod for its containers."""
    write(tmp_path / "fs" / "pod", cpu__max=f"{outer} 100000")
    write(tmp_path / "fs" / "pod" / "deep" / "container", cpu__max=f"{inner} 100000")
    here = process(tmp_path, "0::/pod/deep/container\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.cpu_quota(here) == quota


@pytest.mark.parametrize(("own", "root"), [("/docker/abc", "/docker/abc"), ("/../..", "/"), ("/host/x", "/docker/abc")])
def test_a_container_that_sees_the_path_of_its_host(tmp_path: Path, own: str, root: str) -> None:
    """Where the path isn't below the mounted root, the mount itself is the group."""
    write(tmp_path / "fs", cpu__max="250000 100000")
    here = process(tmp_path, f"0::{own}\n", V2.format(root=root, mount=tmp_path / "fs"))
    assert cgroup.cpu_quota(here) == 2.5


def test_a_machine_with_both_versions(tmp_path: Path) -> None:
    """Of the two hierarchies the one with the controller says the limit."""
    write(tmp_path / "two")
    write(tmp_path / "one", cpu__cfs_quota_us="100000", cpu__cfs_period_us="50000")
    mounts = V2.format(root="/", mount=tmp_path / "two")
    mounts += V1.format(root="/", mount=tmp_path / "one", controllers="cpu")
    assert cgroup.cpu_quota(process(tmp_path, "1:cpu:/\n0::/\n", mounts)) == 2.0


def test_a_mount_point_with_a_space(tmp_path: Path) -> None:
    """The kernel writes it in octal."""
    write(tmp_path / "a b", cpu__max="100000 100000")
    mount = str(tmp_path / "a b").replace(" ", "\\040")
    assert cgroup.cpu_quota(process(tmp_path, "0::/\n", V2.format(root="/", mount=mount))) == 1.0


def test_memory_limits_of_both_versions(tmp_path: Path) -> None:
    """Bytes, the smallest of nested groups; `max` and version 1's huge number are no limit."""
    write(tmp_path / "two", memory__max="max")
    write(tmp_path / "two" / "a", memory__max="1073741824")
    here = process(tmp_path, "0::/a\n", V2.format(root="/", mount=tmp_path / "two"))
    assert cgroup.memory_limit(here) == 1 << 30

    write(tmp_path / "one" / "a", memory__limit_in_bytes=str((1 << 63) - 4096))
    mounts = V1.format(root="/", mount=tmp_path / "one", controllers="memory")
    (tmp_path / "second").mkdir()
    assert cgroup.memory_limit(process(tmp_path / "second", "4:memory:/a\n", mounts)) is None


@pytest.mark.parametrize("content", ["", "garbage", "1 2 3", "100000 0", "x y", "\0"])
def test_garbage_is_no_limit(tmp_path: Path, content: str) -> None:
    """A file that cannot be understood does not stop the program."""
    write(tmp_path / "fs", cpu__max=content, memory__max=content)
    here = process(tmp_path, "0::/\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.cpu_quota(here) is cgroup.memory_limit(here) is None


@given(groups=st.binary(max_size=60), mounts=st.binary(max_size=60))
def test_any_text_under_proc_is_survived(
    tmp_path_factory: pytest.TempPathFactory, groups: bytes, mounts: bytes
) -> None:
    """Whatever a kernel writes there, the answer is a limit or none."""
    folder = tmp_path_factory.mktemp("proc")
    (folder / "cgroup").write_bytes(groups + b"\n0::/\n")
    (folder / "mountinfo").write_bytes(mounts + b" - cgroup2\n")
    assert cgroup.cpu_quota(folder) is None


def test_without_proc_there_is_no_limit(tmp_path: Path) -> None:
    """As on systems other than Linux."""
    assert cgroup.cpu_quota(tmp_path / "none") is None


@pytest.fixture
def make_group() -> Iterator[MakeGroup]:
    """Make real groups with a quota in percent of a processor; skips, with the reason, where that is not permitted."""
    with ExitStack() as made:

        def make(name: str, percent: int) -> Path:
            for folder, file, text in (
                (Path("/sys/fs/cgroup/cpu"), "cpu.cfs_quota_us", f"{percent * 1000}"),
                (Path("/sys/fs/cgroup"), "cpu.max", f"{percent * 1000} 100000"),
            ):
                group = folder / name
                try:
                    group.mkdir()
                except OSError:
                    continue
                made.callback(group.rmdir)
                if (group / file).exists():
                    (group / file).write_text(text)
                    return group
            pytest.skip(
                "no control group with a CPU quota can be made here (that takes root, and a writable hierarchy)"
            )

        yield make


def threads_inside(group: Path) -> str:
    """Return what `usable_cpus` says in a process of the group that has an affinity mask of its own."""
    program = (
        "from torchstone_runtime.system.cpu import usable_cpus; import os; "
        "print(usable_cpus(), len(os.sched_getaffinity(0)))"
    )
    shell = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
    command = ["/bin/sh", "-c", shell, "sh", sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_real_group_limits_the_threads(make_group: MakeGroup) -> None:
    """Of all processors, a quota of half of one leaves one thread."""
    usable, _ = threads_inside(make_group("torchstone-test", 50)).split()
    assert usable == "1"


def test_a_real_group_inside_a_limited_one(make_group: MakeGroup) -> None:
    """The outer group's limit holds for the inner one, which has none of its own."""
    outer = make_group("torchstone-test-outer", 50)
    inner = outer / "inner"
    inner.mkdir()
    try:
        usable, _ = threads_inside(inner).split()
    finally:
        inner.rmdir()
    assert usable == "1"


def test_memory_left_in_a_group_of_version_2(tmp_path: Path) -> None:
    """Limit less working set: what the page cache holds is given up first."""
    write(
        tmp_path / "fs" / "pod", memory__max="1000", memory__current="700", memory__stat="anon 400\ninactive_file 250"
    )
    here = process(tmp_path, "0::/pod\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.memory_headroom(here) == 550


def test_memory_left_in_a_group_of_version_1(tmp_path: Path) -> None:
    """Other files, the same sum."""
    group = tmp_path / "fs" / "a"
    write(group, memory__limit_in_bytes="1000", memory__usage_in_bytes="700", memory__stat="total_inactive_file 100")
    here = process(tmp_path, "4:memory:/a\n", V1.format(root="/", mount=tmp_path / "fs", controllers="memory"))
    assert cgroup.memory_headroom(here) == 400


def test_the_fullest_of_nested_groups_decides(tmp_path: Path) -> None:
    """A pod may be full while its container is far below its own limit."""
    write(tmp_path / "fs" / "pod", memory__max="1000", memory__current="990")
    write(tmp_path / "fs" / "pod" / "container", memory__max="800", memory__current="100")
    here = process(tmp_path, "0::/pod/container\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.memory_headroom(here) == 10


def test_a_group_above_its_limit_has_nothing_left(tmp_path: Path) -> None:
    """As after the limit was lowered; never a negative number."""
    write(tmp_path / "fs" / "pod", memory__max="1000", memory__current="1200")
    here = process(tmp_path, "0::/pod\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.memory_headroom(here) == 0


def test_without_a_limit_nothing_is_said_of_what_is_left(tmp_path: Path) -> None:
    """The machine's own memory counts then."""
    write(tmp_path / "fs" / "pod", memory__max="max", memory__current="1200")
    here = process(tmp_path, "0::/pod\n", V2.format(root="/", mount=tmp_path / "fs"))
    assert cgroup.memory_headroom(here) is None


@pytest.mark.parametrize(
    ("machine", "group", "available"), [(900, 500, 500), (400, 500, 400), (None, 7, 7), (3, None, 3)]
)
def test_the_nearer_of_machine_and_group_is_what_is_available(
    monkeypatch: pytest.MonkeyPatch, machine: int | None, group: int | None, available: int
) -> None:
    """Training streams what would not fit into either."""
    monkeypatch.setattr(memory.MachineMemory, "read", lambda: memory.MachineMemory(None, machine))
    monkeypatch.setattr(memory, "memory_headroom", lambda: group)
    assert memory.memory_available() == available
