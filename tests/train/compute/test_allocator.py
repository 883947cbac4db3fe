"""Memory of freed tensors: kept for the next ones while a training runs, given back afterwards."""

import platform
import resource

import pytest
import torch

from torchstone_train.compute.allocator import freed_memory_kept

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own allocator")
PAGES = 16 * 1024
"""Pages of the tensor."""


def faults_of_the_second() -> int:
    """Fill a tensor of 64 MiB twice; return the pages that the system had to clear for the second."""
    torch.ones(PAGES * 1024)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(PAGES * 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_the_next_tensor_takes_the_memory_of_the_last() -> None:
    """No page is cleared again."""
    with freed_memory_kept():
        assert faults_of_the_second() < PAGES / 10


def test_afterwards_memory_goes_back_to_the_system() -> None:
    """As before: each page is cleared again (or each huge page, of 512)."""
    with freed_memory_kept():
        inside = faults_of_the_second()
    assert faults_of_the_second() > 4 * inside + PAGES / 1024


def test_where_memory_is_short_it_goes_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third more at the peak is not to be had there."""
    monkeypatch.setattr("torchstone_train.compute.allocator.memory_available", lambda: 2**30)
    with freed_memory_kept():
        assert faults_of_the_second() > PAGES / 1024


def test_what_the_environment_says_of_memory_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunable of the owner is not overridden."""
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    with freed_memory_kept():
        assert faults_of_the_second() > PAGES / 1024
