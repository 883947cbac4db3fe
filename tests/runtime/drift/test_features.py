"""What is measured of an image: laws of each figure, and that it is the same in whatever batch the image comes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.drift.features import IMAGE_FEATURES, confidence_log_odds, image_features

COLUMN = {name: index for index, name in enumerate(IMAGE_FEATURES)}


def pictures(seed: int, count: int, channels: int, height: int, width: int) -> Uint8Array:
    """Make random pictures."""
    return np.random.default_rng(seed).integers(0, 256, (count, channels, height, width), dtype=np.uint8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([1, 3]), st.integers(1, 150), st.integers(1, 150))
def test_an_image_has_the_same_figures_alone_and_among_others(
    seed: int, count: int, channels: int, height: int, width: int
) -> None:
    """To the bit, and all are finite, whatever its size."""
    images = pictures(seed, count, channels, height, width)
    together = image_features(images)

    assert np.isfinite(together).all()
    np.testing.assert_array_equal(together, np.concatenate([image_features(image[np.newaxis]) for image in images]))


def test_brightness_contrast_and_border_are_numpys() -> None:
    """Of an image whose every row is looked at."""
    images = pictures(0, 4, 3, 40, 30)
    found = image_features(images)
    gray = images.astype(float).mean(axis=1)
    edges = np.concatenate([gray[:, 0], gray[:, -1], gray[:, :, 0], gray[:, :, -1]], axis=1)

    np.testing.assert_allclose(found[:, COLUMN["brightness"]], gray.mean(axis=(1, 2)))
    np.testing.assert_allclose(found[:, COLUMN["contrast"]], gray.std(axis=(1, 2)))
    np.testing.assert_allclose(found[:, COLUMN["border"]], edges.mean(axis=1))
    np.testing.assert_allclose(found[:, COLUMN["colour"]], np.ptp(images, axis=1).mean(axis=(1, 2)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_no_sum_overflows_where_black_and_white_alternate(channels: int) -> None:
    """The largest differences there are."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = image_features(np.broadcast_to(board, (1, channels, 64, 64)))[0]

    assert found[COLUMN["brightness"]] == 127.5
    assert found[COLUMN["contrast"]] == 127.5
    assert found[COLUMN["direction"]] == 0.5
    assert found[COLUMN["sharpness"]] == pytest.approx(2 * 255 * 62 / 63)


def test_a_spot_in_the_corner_is_off_centre_and_one_in_the_middle_is_not() -> None:
    """Half of the diagonal, but for the spot's own size; an image that is all black has no centre."""
    images = np.zeros((3, 1, 101, 101), np.uint8)
    images[0, 0, 50, 50] = images[1, 0, 0, 0] = 255
    found = image_features(images)[:, COLUMN["off-centre"]]

    assert found.tolist() == pytest.approx([0, 0.5 * 100 / 101, 0])


def test_the_log_odds_are_those_of_the_confidence() -> None:
    """log(p / (1 - p)) of the softmax at the model's temperature, where float64 can still say it."""
    logits = np.random.default_rng(0).normal(0, 3, (50, 7)).astype(np.float32)
    exponentials = np.exp(logits.astype(float) / 1.7)
    confidence = (exponentials / exponentials.sum(axis=1, keepdims=True)).max(axis=1)

    np.testing.assert_allclose(confidence_log_odds(logits, 1.7), np.log(confidence / (1 - confidence)), rtol=1e-9)


def test_the_log_odds_of_the_surest_answers_differ_still() -> None:
    """Where the confidence is 1 in float32; beyond 100 they don't."""
    logits = np.array([[40, 0], [50, 0], [3e38, -3e38]], np.float32)
    assert confidence_log_odds(logits, 1.0).tolist() == pytest.approx([40, 50, 100])
