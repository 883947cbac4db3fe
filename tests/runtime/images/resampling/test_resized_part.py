"""Crops of pictures and their pixels, by compiled code or without."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torchstone_runtime.images.resampling import compiled
from torchstone_runtime.images.resampling.resized_part import picture_of, resized_crop, write_pixels
from torchstone_runtime.images.resampling.resizing import PILLOW_FILTERS, Part


def noise(mode: str, height: int, width: int) -> Image.Image:
    """Return a picture of random bytes."""
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.fixture(params=[True, False], ids=["compiled", "pure"])
def _either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(compiled, "_library", lambda: None)


@st.composite
def crops(draw: Callable[..., Any]) -> tuple[Image.Image, Part]:
    """Draw a picture of up to 300 pixels a side and a part of it."""
    height, width = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    edges = left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return noise(draw(st.sampled_from(["L", "RGB"])), height, width), edges


@settings(deadline=None, max_examples=200)
@given(crops(), st.integers(1, 200), st.integers(1, 200), st.sampled_from([*PILLOW_FILTERS]))
def test_a_resized_crop_has_the_bytes_of_pillows(
    drawn: tuple[Image.Image, Part], width: int, height: int, name: str
) -> None:
    """Nothing beside the part reaches the result."""
    image, part = drawn
    expected = image.crop(part).resize((width, height), PILLOW_FILTERS[name])
    assert picture_of(resized_crop(image, part, width, height, name)).tobytes() == expected.tobytes()


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("axes", [(), (1,), (2,), (1, 2)])
def test_planes_that_are_turned_over_are_written_so(mode: str, axes: tuple[int, ...]) -> None:
    """Left to right, top to bottom, and both."""
    pixels = np.atleast_3d(np.asarray(noise(mode, 20, 33)))
    out = np.zeros_like(pixels)
    write_pixels(np.flip(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), axes), out)
    assert np.array_equal(out, np.flip(pixels, tuple(axis - 1 for axis in axes)))


@pytest.mark.usefixtures("_either")
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_pixels_of_a_picture_are_written(mode: str) -> None:
    """As NumPy has them."""
    image = noise(mode, 20, 33)
    out = np.zeros((20, 33, len(image.getbands())), np.uint8)
    write_pixels(image, out)
    assert np.array_equal(out, np.atleast_3d(np.asarray(image)))
