"""What the networks of the comparison are said to cost."""

import pytest

from benchmarks.gpu.networks import build


def test_the_products_of_an_attention_are_counted() -> None:
    """By torchvision 17.56 billion products with their sums; a fast path would hide a third of them."""
    assert build("vit_b_16").operations == pytest.approx(2 * 17.56e9, rel=0.01)
