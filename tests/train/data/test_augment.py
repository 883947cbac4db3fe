"""Augmentation changes whole batches, each image in its own way."""

from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from torchstone_train.data.augment import ERASED_AREA, MAX_SHIFT, Augmentation, augment
from torchstone_train.recipes.transforms import AugmentName


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


@pytest.mark.parametrize("name", ["flip", "shift", "flip-shift", "shift-erase", "flip-shift-erase"])
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


def test_erase_replaces_one_rectangle_in_about_half_of_the_images() -> None:
    """What differs from the image fills a rectangle of an allowed area; other images stay as they are."""
    images = torch.zeros((400, 1, 28, 28), dtype=torch.uint8)
    plain, changed = augment("shift", images, seeded(1)), augment("shift-erase", images, seeded(1))
    erased = (changed != plain).squeeze(1)
    count = erased.flatten(1).any(1)

    assert 140 < int(count.sum()) < 260
    for mask in erased[count]:
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box = mask[int(rows.min()) : int(rows.max()) + 1, int(columns.min()) : int(columns.max()) + 1]
        assert box.float().mean() > 0.9  # noise is black here and there
        assert box.numel() <= 28 * 28 * ERASED_AREA[1] * 1.2  # sides are rounded to whole pixels


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(1, 9), width=st.integers(1, 9))
def test_erase_takes_images_of_any_size(seed: int, height: int, width: int) -> None:
    """Not even a single pixel is too small."""
    images = make_images(8, 3, height, width)

    assert augment("shift-erase", images, seeded(seed)).shape == images.shape


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), epoch=st.integers(1, 100))
def test_alternating_flips_show_each_image_both_ways_in_two_epochs(seed: int, epoch: int) -> None:
    """Whatever the order of the images, what one epoch mirrors the next does not; about half are mirrored in each."""
    images = make_images(200)
    augmentation = Augmentation("flip", "alternating", len(images), seed)
    order = torch.randperm(200, generator=seeded(seed))
    one = augmentation(images, torch.arange(200), epoch, seeded(1))
    two = torch.empty_like(images)
    two[order] = augmentation(images[order], order, epoch + 1, seeded(2))

    assert torch.equal(two, one.flip(3))
    mirrored = (one != images).flatten(1).any(1)
    assert 50 < int(mirrored.sum()) < 150
