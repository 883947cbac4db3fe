import numpy as np

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.overlap import balance_line, overlap_lines
from torchstone_runtime.data.split import ArrayStore, Split


def pictures(count: int, seed: int) -> Uint8Array:
    """Return random images, uint8 [N, 1, 4, 4]."""
    return np.random.default_rng(seed).integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)


def split(name: str, images: Uint8Array, labels: list[int]) -> Split:
    """Return a split of two classes."""
    ids = [f"{name}{index}" for index in range(len(labels))]
    return Split(name, ArrayStore(images), np.array(labels, dtype=np.int64), ("cat", "dog"), ids)


def test_equal_images_of_two_splits_are_told() -> None:
    """With their number and the first ids; sound splits say nothing."""
    train, test = split("train", pictures(4, 0), [0, 0, 1, 1]), split("test", pictures(3, 1), [0, 1, 1])
    assert list(overlap_lines([train, test])) == []
    leaky = split("test", np.concatenate([pictures(2, 1), train.store.read(np.array([2]))]), [0, 1, 1])
    assert list(overlap_lines([train, leaky])) == ["1 of 3 test images are in the train split too: test2."]


def test_equal_images_of_two_classes_are_told() -> None:
    """Wherever they are."""
    images = pictures(4, 0)
    images[3] = images[0]
    assert list(overlap_lines([split("train", images, [0, 0, 1, 1])])) == [
        "1 image has the same pixels as one with another label."
    ]


def test_the_balance_names_the_smallest_and_the_largest_class() -> None:
    """And how unequal they are."""
    assert balance_line(split("train", pictures(4, 0), [0, 1, 1, 1])) == "1 (cat) to 3 (dog) images per class, 3.0 : 1"


def test_digests_come_with_the_fingerprint() -> None:
    """One number an image, equal for equal pixels only; the fingerprint is what it was."""
    images = pictures(3, 0)
    images[2] = images[0]
    one, other, same = split("train", images, [0, 1, 0]).image_digests.tolist()
    assert one == same != other
