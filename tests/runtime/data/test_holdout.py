import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.data.holdout import stratified_holdout
from torchstone_runtime.errors import DataError

NAMES = tuple("abcdef")

label_counts = st.lists(st.integers(2, 40), min_size=1, max_size=len(NAMES))
fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


def labels_with(counts: list[int], seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return shuffled labels with the given number of samples a class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


@settings(deadline=None, max_examples=60)
@given(label_counts, fractions, seeds)
def test_the_two_sides_are_a_partition(counts: list[int], fraction: float, seed: int) -> None:
    """Every sample is on exactly one side, and both sides are ascending."""
    kept, held_out = stratified_holdout(labels_with(counts, 1), fraction, seed, NAMES)
    assert sorted([*kept, *held_out]) == list(range(sum(counts)))
    assert kept.tolist() == sorted(kept)
    assert held_out.tolist() == sorted(held_out)


@settings(deadline=None, max_examples=60)
@given(label_counts, fractions, seeds)
def test_every_class_gives_its_share(counts: list[int], fraction: float, seed: int) -> None:
    """Each class is on both sides; its part held out is the nearest whole number where that leaves one on each."""
    labels = labels_with(counts, 2)
    kept, held_out = stratified_holdout(labels, fraction, seed, NAMES)
    for label, count in enumerate(counts):
        given_up = int((labels[held_out] == label).sum())
        assert 1 <= given_up <= count - 1
        assert given_up + int((labels[kept] == label).sum()) == count
        if 1 <= count * fraction <= count - 1:
            assert abs(given_up - count * fraction) <= 0.5


@settings(deadline=None, max_examples=30)
@given(label_counts, fractions, seeds)
def test_the_same_seed_gives_the_same_sides(counts: list[int], fraction: float, seed: int) -> None:
    """A partition can be made again."""
    labels = labels_with(counts, 3)
    first, second = (stratified_holdout(labels, fraction, seed, NAMES) for _ in range(2))
    np.testing.assert_array_equal(first[1], second[1])


def test_another_seed_gives_other_sides() -> None:
    """The seed matters."""
    labels = labels_with([50, 50], 4)
    one, other = (stratified_holdout(labels, 0.2, seed, NAMES)[1].tolist() for seed in (0, 1))
    assert one != other


def test_a_partition_is_pinned() -> None:
    """Certificates name splits by fingerprint: the same seed must give these indices on every version of NumPy."""
    _, held_out = stratified_holdout(np.arange(30) % 3, 0.2, 0, NAMES)
    assert held_out.tolist() == [2, 13, 24, 26, 27, 28]


def test_a_class_with_one_sample_is_refused() -> None:
    """One side would lack it; the message names the class."""
    with pytest.raises(DataError, match=r"Class 'b' has too few images to be split \(1 left"):
        stratified_holdout(np.array([0, 0, 1]), 0.2, 0, NAMES)
