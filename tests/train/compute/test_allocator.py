"""Memory of freed tensors: kept for the next ones while a training runs, given back afterwards."""

import json
import platform
import subprocess
import sys
from typing import Final

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own allocator")
PAGES = 16 * 1024
"""Pages of a tensor of 64 MiB."""
PROGRAM = """
import json
import os
import resource
import sys

import torch
import torchstone_train.compute.allocator as allocator


def cleared():
    # The first tensors find their places; what follows is what a training does all the time.
    for _ in range(30):
        torch.ones(16 * 2**20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


for name, case in json.loads(sys.argv[1]).items():
    if not os.fork():  # PyTorch is imported once for all cases
        exec(case)
        print(name, pages, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, name
"""
CASES: Final = {
    "kept": "with allocator.freed_memory_kept():\n    pages = cleared()",
    "short": "allocator.memory_available = lambda: 2**30\nwith allocator.freed_memory_kept():\n    pages = cleared()",
    "stated": """
os.environ["MALLOC_TRIM_THRESHOLD_"] = "131072"
with allocator.freed_memory_kept():
    pages = cleared()
""",
    "afterwards": """
with allocator.freed_memory_kept():
    cleared()
    kept = int(open("/proc/self/statm").read().split()[1])
pages = kept - int(open("/proc/self/statm").read().split()[1])
""",
}


@pytest.fixture(scope="module")
def pages() -> dict[str, int]:
    """The pages of each case: those that the system had to clear for one more tensor, or got back."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(CASES)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert found.returncode == 0, found.stderr
    return {name: int(number) for name, number in map(str.split, found.stdout.splitlines())}


def test_the_next_tensor_takes_the_memory_of_the_last(pages: dict[str, int]) -> None:
    """No page is cleared again."""
    assert pages["kept"] < PAGES / 10


def test_where_memory_is_short_it_goes_back_at_once(pages: dict[str, int]) -> None:
    """A third more at the peak is not to be had there."""
    assert pages["short"] >= PAGES / 512


def test_what_the_environment_says_of_memory_stands(pages: dict[str, int]) -> None:
    """A tunable of the owner is not overridden."""
    assert pages["stated"] >= PAGES / 512


def test_afterwards_memory_is_given_back(pages: dict[str, int]) -> None:
    """What is free when the training ends is no longer the process's."""
    assert pages["afterwards"] >= PAGES / 2
