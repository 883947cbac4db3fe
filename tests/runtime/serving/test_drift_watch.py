"""What the server measures of the images that it is sent, in portions that leave the processor to the requests."""

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchstone_runtime.serving.core.answer import Answer, Timings
from torchstone_runtime.serving.core.served_model import Seen
from torchstone_runtime.serving.drift_watch import portions

MOST_BYTES = 4 << 20


def requests(sizes: list[int], side: int) -> list[Seen]:
    """Return answered requests of so many images each; every image has its number over all as its logit."""
    ends = list(accumulate(sizes))
    found = []
    for size, end in zip(sizes, ends, strict=True):
        numbers = np.arange(end - size, end, dtype=np.float32).reshape(-1, 1)
        images = np.zeros((size, 1, side, side), np.uint8)
        found.append(Seen(images, None, Answer(numbers, numbers, Timings(0.0, 0.0, 0.0, size))))
    return found


@given(st.lists(st.integers(1, 900), min_size=1, max_size=6), st.sampled_from([2, 28, 224]))
def test_every_image_is_in_one_portion_in_its_order(sizes: list[int], side: int) -> None:
    """With its own logits, however the requests were cut or put together."""
    found = [logits for images, logits in portions(requests(sizes, side)) if len(images) == len(logits)]

    assert np.concatenate(found).ravel().tolist() == list(range(sum(sizes)))


@given(st.lists(st.integers(1, 900), min_size=1, max_size=6), st.sampled_from([2, 28, 224]))
def test_no_portion_is_long_work(sizes: list[int], side: int) -> None:
    """At most 512 images and 4 MiB: the pause after a measurement has a longest length, and could be too short."""
    for images, _ in portions(requests(sizes, side)):
        assert len(images) <= 512
        assert images.nbytes <= MOST_BYTES


def test_an_image_beyond_the_limit_is_a_portion_of_its_own() -> None:
    """It is measured all the same."""
    assert [len(images) for images, _ in portions(requests([2], 3000))] == [1, 1]


@pytest.mark.parametrize("count", [2, 300])
def test_small_requests_are_measured_together(count: int) -> None:
    """One by one, they would hold the interpreter longer than answering them does."""
    assert len(list(portions(requests([1] * count, 28)))) == 1
