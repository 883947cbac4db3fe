"""Whether the outputs of an export fit into memory is asked before it begins."""

import numpy as np
import pytest

from torchstone_export.room import available_memory, require_room
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.errors import DataError


def split(samples: int, classes: int) -> Split:
    """Return a split of empty pictures."""
    names = tuple(f"class {k}" for k in range(classes))
    pixels = np.zeros((samples, 1, 1, 1), dtype=np.uint8)
    return Split("test", ArrayStore(pixels), np.zeros(samples, np.int64), names, list(map(str, range(samples))))


def test_what_does_not_fit_is_refused_with_the_sizes() -> None:
    """25,000 and 25,000 images for 5,000 classes in 4 GiB."""
    with pytest.raises(DataError, match=r"50,000 images for 5,000 classes take 6\.5 GiB of memory; 4\.0 GiB are free"):
        require_room((split(25_000, 5000), split(25_000, 5000)), 2, available=4 << 30)


def test_what_fits_is_not_refused() -> None:
    """The same in 7 GiB; and few images here and now."""
    require_room((split(25_000, 5000), split(25_000, 5000)), 2, available=7 << 30)
    require_room((split(100, 10),), 1)


def test_it_is_never_more_than_an_export_takes() -> None:
    """10,000 images for 5,000 classes took 2.76 GB in all, measured: a refusal below that would be a wrong one."""
    require_room((split(5000, 5000), split(5000, 5000)), 2, available=2_000_000_000)


def test_the_free_memory_is_known_here() -> None:
    """At least some megabytes."""
    free = available_memory()
    assert free is None or free > 1 << 24
