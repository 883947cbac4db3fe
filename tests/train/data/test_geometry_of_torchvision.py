"""The pixels of a cropped picture are those of torchvision, and unsmoothed ones those of PyTorch."""

from typing import Final

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import ColorMode, InputSpec, ResampleFilter

FILTERS: Final[dict[ResampleFilter, InterpolationMode]] = {
    "nearest": InterpolationMode.NEAREST,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
    "lanczos": InterpolationMode.LANCZOS,
}
SIDES = st.one_of(st.integers(1, 6), st.integers(1, 90), st.just(700))
TARGETS = st.integers(1, 48)
COLORS = st.sampled_from(["L", "RGB"])


def picture(height: int, width: int, color: ColorMode) -> Image.Image:
    """Return a picture of noise."""
    shape = (height, width) if color == "L" else (height, width, 3)
    return Image.fromarray(np.random.default_rng(height * 1000 + width).integers(0, 256, shape, dtype=np.uint8))


@settings(deadline=None, max_examples=250)
@given(SIDES, SIDES, TARGETS, TARGETS, TARGETS, COLORS, st.sampled_from(sorted(FILTERS)))
def test_a_crop_is_torchvisions_resize_and_center_crop(
    height: int, width: int, rows: int, columns: int, resize: int, color: ColorMode, resample: ResampleFilter
) -> None:
    """Pixel for pixel, tiny and extreme pictures and those that are smaller than the crop among them."""
    means = (0.5,) * (1 if color == "L" else 3)
    spec = InputSpec(
        color=color, height=rows, width=columns, fit="crop", resize=resize, resample=resample, mean=means, std=means
    )
    image = picture(height, width, color)
    expected = np.asarray(CenterCrop((rows, columns))(Resize(resize, FILTERS[resample])(image)))
    found = decode_image(image, spec)
    assert (np.moveaxis(found, 0, -1) == expected.reshape(rows, columns, -1)).all()


@settings(deadline=None, max_examples=150)
@given(SIDES, SIDES, TARGETS, TARGETS, COLORS, st.sampled_from(["bilinear", "bicubic"]))
def test_without_antialiasing_pixels_are_those_of_interpolate(
    height: int, width: int, rows: int, columns: int, color: ColorMode, resample: ResampleFilter
) -> None:
    """Those of PyTorch in double precision, rounded."""
    means = (0.5,) * (1 if color == "L" else 3)
    spec = InputSpec(color=color, height=rows, width=columns, resample=resample, antialias=False, mean=means, std=means)
    image = picture(height, width, color)
    pixels = torch.from_numpy(np.array(image)).double().reshape(1, height, width, -1).permute(0, 3, 1, 2)
    exact = torch.nn.functional.interpolate(pixels, (rows, columns), mode=resample, antialias=False)[0]
    found = torch.from_numpy(decode_image(image, spec).copy()).double()
    assert (found - exact.clamp(0, 255)).abs().max() < 0.5 + 1e-9
