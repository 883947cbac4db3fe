import numpy as np
from PIL import Image
from sklearn.datasets import load_digits as sklearn_digits

from torchstone_runtime.data.split import Split


def test_labels_are_those_of_scikit_learn(digits: Split) -> None:
    """All 1,797 labels in the same order."""
    np.testing.assert_array_equal(digits.labels, sklearn_digits().target)


def test_images_are_those_of_scikit_learn_enlarged(digits: Split) -> None:
    """Each is the original, 0 to 16 stretched to 0 to 255, enlarged from 8 x 8 to 28 x 28 bilinearly."""
    images = next(digits.batches(len(digits)))
    assert images.shape == (1797, 1, 28, 28)
    for found, original in zip(images[:, 0], sklearn_digits().images, strict=True):
        small = Image.fromarray(np.round(original * 255 / 16).astype(np.uint8))
        np.testing.assert_array_equal(found, np.asarray(small.resize((28, 28), Image.Resampling.BILINEAR)))


def test_the_fingerprint_is_pinned(digits: Split) -> None:
    """Bundles and certificates name this data by its fingerprint: it must not change between versions."""
    assert digits.fingerprint == "4c3c012b33bc4e803f422a03afda131720292295e7525697ccab04127e4211bc"


def test_names_and_ids(digits: Split) -> None:
    """Classes are the ten digits; ids are positions."""
    assert digits.class_names == tuple("0123456789")
    assert digits.ids[:2] == ["0", "1"]
    assert digits.ids[-1] == "1796"
