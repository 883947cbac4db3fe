"""Memory that a process has freed goes back to the system when it is asked to; the largest amount is known."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
from torchstone_runtime.system.memory import give_back_freed_memory


def resident():
    return int(open("/proc/self/statm").read().split()[1])


# Blocks too small for a mapping of their own; what is kept in between holds the heap where it is.
blocks = [bytes([1]) * 60_000 for _ in range(1_000)]
kept = blocks[-1]
del blocks
before = resident()
give_back_freed_memory()
print(before - resident())
"""

PEAK = """
from torchstone_runtime.system.memory import peak_memory

before = peak_memory()
bytes([1]) * (before + 30_000_000)
print(before, peak_memory())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc keeps what is freed; others have no malloc_trim")
def test_what_was_freed_is_the_systems_again() -> None:
    """Most of 60 MB, in pages of 4 KiB."""
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)
    assert int(found.stdout) > 10_000


def test_peak_memory_sees_what_was_freed() -> None:
    """It is the largest so far, not what is held now; in a small process, which needs little to hold more than ever."""
    found = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, timeout=60)
    before, after = map(int, found.stdout.split())

    assert after >= before + 20_000_000
