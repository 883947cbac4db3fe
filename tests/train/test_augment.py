"""Augmentation changes whole batches, each image in its own way."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchstone_train.augment import MAX_SHIFT, augment
from torchstone_train.recipe import AugmentName


def seeded(seed: int) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(seed)


def make_images(count: int = 64, channels: int = 1, height: int = 9, width: int = 11) -> Tensor:
    """Random images without a black pixel, so that what was moved in can be told."""
    return torch.randint(1, 256, (count, channels, height, width), dtype=torch.uint8, generator=seeded(0))


@pytest.mark.parametrize("name", get_args(AugmentName))
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_type_stay(name: AugmentName, channels: int) -> None:
    """Whatever is done, the batch stays uint8 (N, C, H, W)."""
    images = make_images(channels=channels)
    changed = augment(name, images, seeded(1))

    assert changed.shape == images.shape
    assert changed.dtype is torch.uint8


def test_none_changes_nothing() -> None:
    """The very same tensor comes back."""
    images = make_images()

    assert augment("none", images, seeded(1)) is images


@pytest.mark.parametrize("name", ["flip", "shift", "flip-shift"])
def test_the_same_seed_changes_alike(name: AugmentName) -> None:
    """An epoch that is repeated sees the same images."""
    images = make_images()

    assert torch.equal(augment(name, images, seeded(7)), augment(name, images, seeded(7)))
    assert not torch.equal(augment(name, images, seeded(7)), augment(name, images, seeded(8)))


def test_flip_mirrors_about_half_of_the_images_and_leaves_the_others() -> None:
    """Each image is either itself or its mirror image."""
    images = make_images(400)
    changed = augment("flip", images, seeded(1))
    mirrored = (changed == images.flip(3)).flatten(1).all(1)
    same = (changed == images).flatten(1).all(1)

    assert (mirrored | same).all()
    assert 140 < int(mirrored.sum()) < 260


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), channels=st.sampled_from([1, 3]))
def test_shift_moves_each_image_by_at_most_two_pixels_onto_black(seed: int, channels: int) -> None:
    """Every result is one of the 25 moved images, with zeros moved in."""
    images = make_images(8, channels)
    changed = augment("shift", images, seeded(seed))
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (MAX_SHIFT,) * 4)
    span = range(2 * MAX_SHIFT + 1)
    for index in range(len(images)):
        moved = [padded[index, :, y : y + height, x : x + width] for y in span for x in span]
        assert any(torch.equal(changed[index], candidate) for candidate in moved)
