"""Which images a certificate with a limit was made over."""

from typing import Any

import numpy as np
import pytest

from torchstone_runtime.data.certified_sample import certified_sample, describe_sample, recorded_limit, sample_json
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.errors import BundleError


def test_every_machine_draws_the_same_images() -> None:
    """By NumPy's frozen stream; in the order of the split, none twice."""
    split = load_digits()
    found = certified_sample(split, 5)
    assert len(found) == 5
    expected = sorted(np.random.RandomState(0).permutation(len(split))[:5].tolist())
    assert list(found.ids) == [split.ids[index] for index in expected]
    np.testing.assert_array_equal(found.labels, split.labels[expected])


@pytest.mark.parametrize("limit", [None, 1797, 10_000])
def test_a_split_that_is_no_larger_is_taken_whole(limit: int | None) -> None:
    """The very same object, whose fingerprint may be known."""
    split = load_digits()
    assert certified_sample(split, limit) is split


def test_what_is_recorded_is_read_again() -> None:
    """And certificates that record nothing are of all images."""
    document = {"sample": sample_json(1000, {"test": 10_000})}
    assert recorded_limit(document) == 1000
    assert describe_sample(document, "test", 1000) == "1,000 of 10,000 images, drawn at random"
    assert describe_sample(document, "validation", 900) == "900 images"
    assert recorded_limit({"passed": True}) is None


@pytest.mark.parametrize(
    "damaged", [5, {}, {"limit": 0, "seed": 0}, {"limit": True, "seed": 0}, {"limit": 5, "seed": 1}]
)
def test_a_damaged_record_is_refused(damaged: Any) -> None:  # noqa: ANN401
    """Another sample would be compared with the certificate's figures."""
    with pytest.raises(BundleError, match="sample of the certificate"):
        recorded_limit({"sample": damaged})
