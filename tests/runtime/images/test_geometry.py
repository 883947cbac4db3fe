"""Cropped, padded and unsmoothed pictures; torchvision's own result stands beside it in tests/train/data."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torchstone_runtime.errors import BundleError, ImageError
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.geometry import Placement, before_fitting, fit_picture
from torchstone_runtime.images.input_spec import Fit, InputSpec


def gray_spec(height: int, width: int, fit: Fit = "stretch", resize: int | None = None, fill: int = 0) -> InputSpec:
    """Return a gray input of that size."""
    return InputSpec(color="L", height=height, width=width, fit=fit, resize=resize, fill=fill, mean=(0.5,), std=(0.5,))


CROP = gray_spec(8, 8, "crop", 8)
PAD = gray_spec(8, 8, "pad", fill=114)


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 300), st.integers(1, 300))
def test_a_padded_picture_lies_inside_and_touches_two_sides(height: int, width: int, rows: int, columns: int) -> None:
    """It is as large as it can be, and no further from the middle than a pixel."""
    place = Placement.of(height, width, gray_spec(rows, columns, "pad"))
    assert place.height == rows or place.width == columns
    assert 0 <= rows - place.height - 2 * place.top <= 1
    assert 0 <= columns - place.width - 2 * place.left <= 1


@settings(deadline=None, max_examples=200)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 640))
def test_a_letterbox_is_rounded_as_ultralytics_rounds_it(height: int, width: int, side: int) -> None:
    """By the formulas of its LetterBox, scaling up allowed."""
    place = Placement.of(height, width, gray_spec(side, side, "pad"))
    ratio = min(side / height, side / width)
    rows, columns = round(height * ratio), round(width * ratio)
    assert (place.height, place.width) == (max(rows, 1), max(columns, 1))
    if rows and columns:
        assert place.top == round((side - rows) / 2 - 0.1)
        assert place.left == round((side - columns) / 2 - 0.1)


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 30))
def test_a_picture_with_a_margin_is_cut_to_the_pixels_inside(height: int, width: int, more: int) -> None:
    """Bit for bit, also where only one side is cut."""
    spec = gray_spec(height, width, "crop", min(height, width) + more)
    pixels = np.random.default_rng(0).integers(1, 256, spec.shape, np.uint8)
    picture = Image.fromarray(before_fitting(pixels, spec)[0])
    np.testing.assert_array_equal(fit_picture(picture, spec, "it"), pixels)


def test_the_border_has_its_level_and_the_picture_its_own() -> None:
    """A white picture twice as wide as high, in the middle."""
    pixels = decode_image(Image.new("L", (16, 8), 255), PAD)[0]
    assert (pixels[2:6] == 255).all()
    assert (pixels[[0, 1, 6, 7]] == 114).all()


def test_the_border_of_a_picture_in_colour_is_gray() -> None:
    """The level is that of all channels."""
    spec = InputSpec(color="RGB", height=8, width=8, fit="pad", fill=7, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert (decode_image(Image.new("RGB", (16, 8), "red"), spec)[:, 0] == 7).all()


def test_a_crop_is_cut_after_the_exif_rotation(tmp_path: Path) -> None:
    """A picture that lies on its side is cut at the sides of the upright one."""
    pixels = np.zeros((8, 24), np.uint8)
    pixels[:, 8:16] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "sideways.png", exif=exif)
    assert (decode_image(tmp_path / "sideways.png", CROP) == 200).all()


@pytest.mark.parametrize("spec", [CROP, PAD], ids=["crop", "pad"])
@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_any_picture_is_converted_before_it_is_placed(mode: str, spec: InputSpec) -> None:
    """Paletted, transparent and 16-bit pictures give what their conversion to gray gives."""
    levels = np.random.default_rng(0).integers(0, 256, (12, 20), dtype=np.uint8)
    if mode == "I;16":
        image, plain = Image.fromarray(levels.astype(np.uint16) * 257), Image.fromarray(levels)
    else:
        image = Image.fromarray(levels).convert(mode)
        plain = image.convert("L")
    assert (decode_image(image, spec) == decode_image(plain, spec)).all()


@pytest.mark.parametrize(
    ("size", "spec"),
    [((1, 60_000), gray_spec(224, 224, "crop", 256)), ((1, 1_000_000), gray_spec(224, 224))],
    ids=["crop", "stretch"],
)
def test_a_long_narrow_picture_is_refused_before_it_takes_the_memory(size: tuple[int, int], spec: InputSpec) -> None:
    """Its shorter side at 256 it would have 3.9 billion pixels; stretched, a fourth of a billion on the way."""
    with pytest.raises(ImageError, match="too long and narrow"):
        decode_image(Image.new("L", size), spec)


def test_a_long_narrow_picture_is_padded_to_a_line() -> None:
    """One pixel is left of its shorter side."""
    pixels = decode_image(Image.new("L", (60_000, 1), 255), PAD)[0]
    assert (pixels[3] == 255).all()
    assert (np.delete(pixels, 3, axis=0) == 114).all()


def test_without_antialiasing_every_second_pixel_vanishes() -> None:
    """Reduced to a quarter, the two middle ones of four count; smoothing would have taken all."""
    stripes = Image.fromarray(np.tile(np.array([0, 100, 200, 0], np.uint8), (32, 8)))
    spec = InputSpec(color="L", height=8, width=8, antialias=False, mean=(0.5,), std=(0.5,))
    assert (decode_image(stripes, spec) == 150).all()


@pytest.mark.parametrize(
    "change",
    [
        {"fit": "tile"},
        {"fit": None},
        {"fit": []},
        {"fit": "crop"},
        {"fit": "crop", "resize": 0},
        {"fit": "crop", "resize": 8193},
        {"fit": "crop", "resize": 8.0},
        {"fit": "crop", "resize": True},
        {"fit": "crop", "resize": None},
        {"resize": 8},
        {"fit": "pad", "fill": -1},
        {"fit": "pad", "fill": 256},
        {"fit": "pad", "fill": "0"},
        {"fit": "pad", "resize": 8},
        {"fill": 3},
        {"antialias": 0},
        {"antialias": "false"},
        {"antialias": False, "resample": "lanczos"},
    ],
    ids=str,
)
def test_a_geometry_that_there_is_not_is_a_bundle_error(change: dict[str, object]) -> None:
    """Out of range, of another type, or beside another fit."""
    with pytest.raises(BundleError):
        InputSpec.from_json(gray_spec(8, 8).to_json() | change)


@pytest.mark.parametrize(
    ("spec", "version"),
    [(gray_spec(8, 8), 1), (CROP, 3), (PAD, 3), (gray_spec(8, 8, "pad"), 3)],
)
def test_a_specification_survives_json_with_its_version(spec: InputSpec, version: int) -> None:
    """What an earlier reader would get wrong is of version 3."""
    assert InputSpec.from_json(spec.to_json()) == spec
    assert spec.format_version == version


def test_a_stretched_input_has_no_new_keys() -> None:
    """Bundles of stretched pictures stay what they were, byte for byte."""
    assert set(gray_spec(8, 8).to_json()) == {
        *("name", "dtype", "layout", "color", "height", "width", "resample", "fit", "in_graph"),
    }


_JSON = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(["stretch", "crop", "pad", 1, 255]),
)


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from(["fit", "resize", "fill", "antialias", "resample"]), _JSON))
def test_any_values_give_a_specification_or_a_bundle_error(change: dict[str, object]) -> None:
    """And a specification can be used and written again."""
    try:
        spec = InputSpec.from_json(gray_spec(8, 8).to_json() | change)
    except BundleError:
        return
    assert InputSpec.from_json(spec.to_json()) == spec
    assert decode_image(Image.new("L", (3, 5)), spec).shape == (1, 8, 8)
