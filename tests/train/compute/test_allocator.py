"""Memory of freed tensors: kept for the next ones while a training runs, given back afterwards."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own allocator")
PAGES = 16 * 1024
"""Pages of a tensor of 64 MiB."""
PROGRAM = """
import resource
from contextlib import nullcontext

import torch
import torchstone_train.compute.allocator as allocator


def cleared():
    # The first tensors find their places; what follows is what a training does all the time.
    for _ in range(30):
        torch.ones(16 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

"""


def cleared(program: str, **environment: str) -> int:
    """Return the pages that the system had to clear for one more tensor of 64 MiB."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return int(found.stdout)


def test_the_next_tensor_takes_the_memory_of_the_last() -> None:
    """No page is cleared again."""
    assert cleared("with allocator.freed_memory_kept():\n    print(cleared())") < PAGES / 10


def test_where_memory_is_short_it_goes_back_at_once() -> None:
    """A third more at the peak is not to be had there."""
    short = "allocator.memory_available = lambda: 2**30\nwith allocator.freed_memory_kept():\n    print(cleared())"
    assert cleared(short) >= PAGES / 512


def test_what_the_environment_says_of_memory_stands() -> None:
    """A tunable of the owner is not overridden."""
    program = "with allocator.freed_memory_kept():\n    print(cleared())"
    assert cleared(program, MALLOC_TRIM_THRESHOLD_="131072") >= PAGES / 512


def test_afterwards_memory_is_given_back() -> None:
    """What is free when the training ends is no longer the process's."""
    program = """
with allocator.freed_memory_kept():
    cleared()
    kept = int(open("/proc/self/statm").read().split()[1])
print(kept - int(open("/proc/self/statm").read().split()[1]))
"""
    assert cleared(program) >= PAGES / 2
