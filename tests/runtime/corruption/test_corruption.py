"""Corruptions: the same for an image in whatever batch it comes, and stronger with the severity."""

import hashlib
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.corruption import CORRUPTIONS, SEVERITIES, corrupt
from torchstone_runtime.corruption.catalog import find_corruption
from torchstone_runtime.corruption.random_streams import ImageStreams
from torchstone_runtime.data.split import Split
from torchstone_runtime.errors import UsageError

NAMES = st.sampled_from(sorted(CORRUPTIONS))
LEVELS = st.sampled_from(SEVERITIES)
SEEDS = st.integers(0, 2**64)
IMAGES = npst.arrays(
    np.uint8,
    st.tuples(st.integers(0, 5), st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40)),
    elements=st.integers(0, 255),
)


def change(before: Uint8Array, after: Uint8Array) -> float:
    """Return the mean absolute change of a value."""
    return float(np.abs(before.astype(np.int64) - after).mean())


@given(IMAGES, NAMES, LEVELS, SEEDS)
def test_shape_and_dtype_are_kept_and_the_input_too(images: Uint8Array, name: str, severity: int, seed: int) -> None:
    """Of any size, gray or in colour; and the same call gives the same result."""
    before = images.copy()
    after = corrupt(images, name, severity, seed=seed)

    assert after.shape == images.shape
    assert after.dtype == np.uint8
    assert np.array_equal(images, before)
    assert not np.shares_memory(images, after)
    assert np.array_equal(after, corrupt(images, name, severity, seed=seed))


@given(NAMES, LEVELS, SEEDS, st.integers(0, 10**9), st.lists(st.integers(1, 4), min_size=1, max_size=4))
@settings(max_examples=60)
def test_an_image_is_corrupted_alike_in_every_batch(
    name: str, severity: int, seed: int, first: int, sizes: list[int]
) -> None:
    """Only its index decides: cut anywhere, the parts are those of the whole."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (sum(sizes), 3, 29, 17), dtype=np.uint8)
    whole = corrupt(images, name, severity, seed=seed, first=first)
    start = 0
    for size in sizes:
        part = corrupt(images[start : start + size], name, severity, seed=seed, first=first + start)
        assert np.array_equal(part, whole[start : start + size])
        start += size


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_many_images_at_once_are_corrupted_like_a_few(name: str, digits_array: Uint8Array) -> None:
    """Also beyond the number that is held at once."""
    whole = corrupt(digits_array, name, 3, seed=5)

    assert np.array_equal(whole[1000:1100], corrupt(digits_array[1000:1100], name, 3, seed=5, first=1000))


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_a_higher_severity_changes_more(name: str, seed: int, digits_array: Uint8Array) -> None:
    """In the mean over real digits, from the first severity on."""
    images = digits_array[:300]
    changes = [0.0, *(change(images, corrupt(images, name, severity, seed=seed)) for severity in SEVERITIES)]

    assert all(mild < strong for mild, strong in pairwise(changes)), changes


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_sizes_follow_the_side(name: str, digits_array: Uint8Array) -> None:
    """A picture of twice the side is changed about as much: blur and shift grow with it."""
    small = digits_array[:200]
    large = np.stack([np.asarray(Image.fromarray(image[0]).resize((56, 56)))[np.newaxis] for image in small])
    ratio = change(large, corrupt(large, name, 4)) / change(small, corrupt(small, name, 4))

    assert 0.8 < ratio < 1.2


RANDOM = ["gaussian-noise", "shot-noise", "impulse-noise", "motion-blur", "shift", "rotation"]


@pytest.mark.parametrize("name", RANDOM)
def test_another_seed_or_index_gives_another_corruption(name: str, digits_array: Uint8Array) -> None:
    """Twenty copies of a digit are not corrupted alike, nor as with another seed."""
    copies = digits_array[:1].repeat(20, axis=0)
    corrupted = corrupt(copies, name, 5)

    assert (corrupted != corrupted[0]).any()
    assert not np.array_equal(corrupted, corrupt(copies, name, 5, seed=1))


def test_gaussian_noise_has_its_deviation_and_no_drift() -> None:
    """On mid-gray, where nothing is clipped."""
    gray = np.full((50, 1, 28, 28), 128, dtype=np.uint8)
    noise = corrupt(gray, "gaussian-noise", 2).astype(np.float64) - 128

    assert noise.std() == pytest.approx(CORRUPTIONS["gaussian-noise"].constants[1] * 255, rel=0.02)
    assert abs(noise.mean()) < 0.3


def test_shot_noise_has_the_variance_of_poisson() -> None:
    """The variance of a count is its mean, and black stays black."""
    photons = CORRUPTIONS["shot-noise"].constants[0]
    level = 100
    counts = corrupt(np.full((50, 1, 28, 28), level, dtype=np.uint8), "shot-noise", 1) * (photons / 255)
    mean = photons * level / 255

    assert counts.mean() == pytest.approx(mean, rel=0.01)
    assert counts.var() == pytest.approx(mean, rel=0.05)
    assert not corrupt(np.zeros((5, 1, 9, 9), dtype=np.uint8), "shot-noise", 5).any()


def test_impulse_noise_replaces_its_share_evenly_by_black_and_white() -> None:
    """A gray picture then holds three values."""
    gray = np.full((50, 1, 28, 28), 77, dtype=np.uint8)
    corrupted = corrupt(gray, "impulse-noise", 5)
    share = CORRUPTIONS["impulse-noise"].constants[4]

    assert set(np.unique(corrupted)) == {0, 77, 255}
    assert (corrupted == 0).mean() == pytest.approx(share / 2, rel=0.05)
    assert (corrupted == 255).mean() == pytest.approx(share / 2, rel=0.05)


@pytest.mark.parametrize("name", ["gaussian-blur", "motion-blur", "shift", "rotation", "contrast"])
@pytest.mark.parametrize("level", [0, 1, 128, 255])
def test_a_flat_picture_stays_as_it_is(name: str, level: int) -> None:
    """Averages of equal values are that value: nothing is lost at the border or in rounding."""
    flat = np.full((8, 3, 23, 31), level, dtype=np.uint8)

    assert np.array_equal(corrupt(flat, name, 5), flat)


def test_gaussian_blur_is_scipys(digits_array: Uint8Array) -> None:
    """With the border repeated outwards, to within a level."""
    from scipy.ndimage import gaussian_filter

    deviation = CORRUPTIONS["gaussian-blur"].constants[4] * 28
    images = digits_array[:20]
    exact = gaussian_filter(images.astype(np.float64), (0, 0, deviation, deviation), mode="nearest", truncate=4)

    assert np.abs(corrupt(images, "gaussian-blur", 5) - exact).max() < 1.5


def test_rotation_is_scipys(digits_array: Uint8Array) -> None:
    """One way or the other, to within the rounding of places to 1/64."""
    from scipy.ndimage import rotate

    images = digits_array[:20, 0].astype(np.float64)
    turned = corrupt(digits_array[:20], "rotation", 5)[:, 0].astype(np.float64)
    ways = [rotate(images, angle, axes=(2, 1), reshape=False, order=1, mode="nearest") for angle in (30, -30)]
    errors = np.array([np.abs(turned - way).max(axis=(1, 2)) for way in ways])

    assert errors.min(axis=0).max() < 8
    assert set(errors.argmin(axis=0)) == {0, 1}
    nearest = np.where((errors[0] < errors[1])[:, np.newaxis, np.newaxis], *ways)
    assert abs((turned - nearest)[nearest > 10].mean()) < 0.2  # rounded, not cut off


def test_the_whole_way_of_inversion_is_the_negative(digits_array: Uint8Array) -> None:
    """255 minus every value."""
    assert np.array_equal(corrupt(digits_array[:9], "inversion", 5), 255 - digits_array[:9])


def test_the_streams_are_splitmix64s() -> None:
    """The numbers are those of the published generator, started at the image's key."""
    mask = 2**64 - 1
    state = int(ImageStreams(3, "x", 7, 1)._keys[0])
    expected = []
    for _ in range(3):
        state = (state + 0x9E3779B97F4A7C15) & mask
        word = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
        word ^= word >> 31
        expected += [(word >> shift) & 0xFFFF for shift in (0, 16, 32, 48)]

    assert ImageStreams(3, "x", 7, 1).whole(10)[0].tolist() == expected[:10]
    assert np.array_equal(ImageStreams(3, "x", 5, 4).whole(9)[2], ImageStreams(3, "x", 7, 1).whole(9)[0])


FROZEN = "6e8ab756d747f59dddecedf47a938ac2b7f457a34232ac875a970ef7344bd406"


def test_the_corruptions_are_frozen(digits_array: Uint8Array) -> None:
    """Figures of other days stay comparable: a change of any constant is a change of this hash."""
    digest = hashlib.sha256()
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            digest.update(corrupt(digits_array[:16], name, severity, seed=1).tobytes())

    assert digest.hexdigest() == FROZEN


def test_what_is_not_there_is_refused(digits_array: Uint8Array) -> None:
    """A misspelt name gets a suggestion, and pixels that were scaled are no images."""
    with pytest.raises(UsageError, match="Did you mean 'rotation'"):
        find_corruption("rotaton")
    with pytest.raises(UsageError, match="no severity 6"):
        corrupt(digits_array, "shift", 6)
    with pytest.raises(UsageError, match="uint8"):
        corrupt((digits_array / 255).astype(np.float32), "shift", 1)


@pytest.fixture(scope="module")
def digits_array(digits: Split) -> Uint8Array:
    """All embedded digits in one array."""
    return digits.store.read(np.arange(len(digits)))
