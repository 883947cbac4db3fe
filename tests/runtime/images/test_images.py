import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from torchstone_runtime.images.decode import ImageInput, decode_image
from torchstone_runtime.images.encode import encode_png
from torchstone_runtime.images.input_spec import ColorMode, InputSpec, ResampleFilter

GENERATOR = np.random.default_rng(0)
GRAY = Image.fromarray(GENERATOR.integers(0, 256, (12, 10), dtype=np.uint8))
COLOR = Image.fromarray(GENERATOR.integers(0, 256, (12, 10, 3), dtype=np.uint8))


def png(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's options
    """Encode an image."""
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I;16"])
@pytest.mark.parametrize("color", ["gray", "rgb"])
def test_every_mode_gives_the_shape_of_the_model(request: pytest.FixtureRequest, mode: str, color: str) -> None:
    """Whatever the picture, the array is contiguous uint8 of (C, H, W)."""
    spec = request.getfixturevalue(color)
    found = decode_image(Image.new(mode, (31, 17)), spec)
    assert found.shape == spec.shape
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous


def test_gray_pixels_are_kept(gray: InputSpec) -> None:
    """A picture that already fits is not touched."""
    np.testing.assert_array_equal(decode_image(png(GRAY), gray)[0], np.asarray(GRAY))


def test_color_channels_come_first(rgb: InputSpec) -> None:
    """Red, green and blue are the planes, in this order."""
    np.testing.assert_array_equal(decode_image(png(COLOR), rgb), np.asarray(COLOR).transpose(2, 0, 1))


def test_color_becomes_gray_by_luma(gray: InputSpec) -> None:
    """ITU-R 601-2 weights, as Pillow converts."""
    expected = np.asarray(COLOR, dtype=np.float64) @ [0.299, 0.587, 0.114]
    assert np.abs(decode_image(COLOR, gray)[0] - expected).max() <= 1


def test_palette_colors_are_looked_up(rgb: InputSpec) -> None:
    """The pixels are the palette's colours, not its indices."""
    image = Image.new("P", (10, 12), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    assert decode_image(png(image), rgb)[:, 0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize(("mode", "fill"), [("RGBA", (200, 100, 50, 0)), ("LA", (77, 0))])
def test_transparency_is_dropped(rgb: InputSpec, mode: str, fill: tuple[int, ...]) -> None:
    """A transparent pixel keeps the colour that it holds."""
    found = decode_image(png(Image.new(mode, (10, 12), fill)), rgb)[:, 0, 0].tolist()
    assert found == ([200, 100, 50] if mode == "RGBA" else [77, 77, 77])


def test_one_bit_is_black_and_white(gray: InputSpec) -> None:
    """Set pixels are 255."""
    assert set(decode_image(png(Image.new("1", (10, 12), 1)), gray).ravel().tolist()) == {255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(gray: InputSpec, kind: str) -> None:
    """The full range of 16 bits becomes the full range of 8, each value the nearest."""
    values = np.linspace(0, 65535, 120).astype(np.uint16).reshape(12, 10)
    found = decode_image(png(Image.fromarray(values), kind), gray)[0]
    np.testing.assert_array_equal(found, np.round(values / 257).astype(np.uint8))
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize(("orientation", "turns"), [(3, 2), (6, 3), (8, 1)])
def test_the_rotation_in_exif_is_applied(gray: InputSpec, orientation: int, turns: int) -> None:
    """A telephone's picture is stored lying and flagged: the model sees it upright."""
    upright = np.asarray(GRAY)
    stored = Image.fromarray(np.rot90(upright, -turns).copy())
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(decode_image(png(stored, exif=exif), gray)[0], upright)


def test_the_first_frame_of_an_animation_is_taken(gray: InputSpec) -> None:
    """Later frames don't matter."""
    frames = [Image.new("L", (10, 12), value) for value in (10, 200, 90)]
    content = png(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert set(decode_image(content, gray).ravel().tolist()) == {10}


@pytest.mark.parametrize("resample", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_resizing_is_pillows(resample: ResampleFilter) -> None:
    """Another size is stretched with the stated filter, after the conversion of the colours."""
    spec = InputSpec(color="L", height=7, width=23, resample=resample, mean=(0.5,), std=(0.5,))
    expected = COLOR.convert("L").resize((23, 7), Image.Resampling[resample.upper()])
    np.testing.assert_array_equal(decode_image(COLOR, spec)[0], np.asarray(expected))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_any_size_becomes_any_other(width: int, height: int, to_width: int, to_height: int) -> None:
    """No size of picture or model makes another shape."""
    spec = InputSpec(color="RGB", height=to_height, width=to_width, mean=(0.5,) * 3, std=(0.5,) * 3)
    found = decode_image(png(Image.new("RGB", (width, height), (9, 8, 7))), spec)
    assert found.shape == (3, to_height, to_width)
    assert found.reshape(3, -1).T.tolist() == [[9, 8, 7]] * (to_width * to_height)


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path, rgb: InputSpec) -> None:
    """A path, text, the file's bytes and a Pillow image."""
    path = tmp_path / "picture.png"
    path.write_bytes(png(COLOR))
    sources: list[ImageInput] = [path, str(path), path.read_bytes(), COLOR]
    for source in sources:
        np.testing.assert_array_equal(decode_image(source, rgb), decode_image(COLOR, rgb))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_pillow_image_is_not_altered(mode: str, gray: InputSpec) -> None:
    """Mode, size, pixels and the EXIF flag of the caller's picture stay."""
    image = COLOR.convert(mode)
    image.getexif()[0x0112] = 6
    before = (image.mode, image.size, image.tobytes(), image.getexif()[0x0112])
    decode_image(image, gray)
    assert (image.mode, image.size, image.tobytes(), image.getexif()[0x0112]) == before


@pytest.mark.parametrize("suffix", ["jpg", "bmp", "gif", "tiff", "webp", "ppm"])
def test_the_usual_formats_are_read(tmp_path: Path, gray: InputSpec, suffix: str) -> None:
    """Each suffix that a folder is searched for can be decoded."""
    path = tmp_path / f"picture.{suffix}"
    Image.new("RGB", (10, 12), (90, 90, 90)).save(path)
    assert np.abs(decode_image(path, gray).astype(int) - 90).max() <= 2


@pytest.mark.parametrize("color", ["L", "RGB"])
def test_an_encoded_png_decodes_to_the_same_pixels(color: ColorMode) -> None:
    """The reports' pictures are the model's input."""
    channels = 1 if color == "L" else 3
    pixels = GENERATOR.integers(0, 256, (channels, 12, 10), dtype=np.uint8)
    spec = InputSpec(color=color, height=12, width=10, mean=(0.5,) * channels, std=(0.5,) * channels)
    np.testing.assert_array_equal(decode_image(encode_png(pixels), spec), pixels)


def test_a_16_bit_pgm_is_scaled(gray: InputSpec) -> None:
    """Pillow opens it as 32-bit integers; white stays white and middle gray stays middle gray."""
    header = f"P5\n{gray.width} {gray.height}\n65535\n".encode()
    middle = header + b"\x80\x80" * (gray.width * gray.height)

    assert (decode_image(middle, gray) == 128).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("space", ["sRGB", "LAB", "XYZ"])
def test_an_embedded_colour_profile_is_not_applied(
    rgb: InputSpec, kind: str, space: Literal["sRGB", "LAB", "XYZ"]
) -> None:
    """Whatever it says, the numbers in the file are the pixels."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    tagged, plain = png(COLOR, kind, icc_profile=profile), png(COLOR, kind)
    assert Image.open(io.BytesIO(tagged)).info["icc_profile"] == profile
    np.testing.assert_array_equal(decode_image(tagged, rgb), decode_image(plain, rgb))


def test_cmyk_becomes_rgb_without_its_profile(rgb: InputSpec) -> None:
    """Each colour is what its ink and the black let through, as Pillow converts."""
    image = Image.new("CMYK", (10, 12), (200, 100, 0, 50))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found = decode_image(png(image, "TIFF", icc_profile=profile), rgb)[:, 0, 0].tolist()
    assert found == pytest.approx([(255 - ink) * (255 - 50) / 255 for ink in (200, 100, 0)], abs=1)
