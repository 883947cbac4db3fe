"""JPEG files decoded at a part of their size: which, how small, how far from whole ones, and turned the right way."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from torchstone_runtime.bundle.manifest import essentials_json, parse_essentials
from torchstone_runtime.errors import BundleError, ImageError
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.reduced_decoding import HEADROOM, reduce_decoding

FULL = InputSpec(color="RGB", height=24, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
REDUCED = replace(FULL, decode="reduced")


def photograph(width: int, height: int) -> Image.Image:
    """Smooth colours with some detail, another at every corner."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 17 + y / 29 + phase) * 60 + 128 for phase in (0, 2, 4)]
    pixels = np.stack(waves, axis=-1) + np.random.default_rng(0).normal(0, 8, (height, width, 3))
    pixels[: height // 4, : width // 4, 0] += 60
    pixels[-height // 4 :, -width // 4 :, 2] += 60
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options: object) -> bytes:
    """Return the file that Pillow makes of a picture."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92, **options)
    return buffer.getvalue()


def decoded_size(content: bytes, spec: InputSpec) -> tuple[int, int]:
    """Return the width and height that a picture is decoded to."""
    with Image.open(io.BytesIO(content)) as image:
        reduce_decoding(image, spec)
        image.load()
        return image.size


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 24), (32, 24)),
        ((127, 96), (127, 96)),
        ((128, 96), (64, 48)),
        ((129, 97), (65, 49)),
        ((255, 400), (128, 200)),
        ((256, 192), (64, 48)),
        ((512, 384), (64, 48)),
        ((4000, 3000), (500, 375)),
        ((4000, 100), (2000, 50)),
    ],
)
def test_a_picture_is_decoded_as_small_as_its_input_allows(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Each side stays twice as long as it is resized to; an eighth is the least that libjpeg does."""
    assert decoded_size(jpeg(Image.new("RGB", size)), REDUCED) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"fit": "crop", "resize": 32}, (200, 100)), ({"fit": "pad"}, (100, 50)), ({"fit": "stretch"}, (100, 50))],
)
def test_what_counts_is_the_size_that_it_is_resized_to(fields: dict[str, object], expected: tuple[int, int]) -> None:
    """Before the centre is cut out: a shorter side of 32 needs one of 64 and more."""
    spec = replace(REDUCED, **fields)  # type: ignore[arg-type]  # fields of any type
    assert decoded_size(jpeg(Image.new("RGB", (200, 100))), spec) == expected


@settings(deadline=None, max_examples=40)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 500),
    fields=st.sampled_from([{"fit": "stretch"}, {"fit": "pad", "fill": 128}, {"fit": "crop", "resize": 32}]),
    resample=st.sampled_from(["bilinear", "bicubic", "lanczos"]),
)
def test_its_pixels_are_nearly_those_of_the_whole_one(
    width: int, height: int, fields: dict[str, object], resample: str
) -> None:
    """Of any size and fit: the same picture at the same place, a level or two apart."""
    content = jpeg(photograph(width, height))
    full = replace(FULL, resample=resample, **fields)  # type: ignore[arg-type]  # fields of any type
    whole, reduced = decode_image(content, full), decode_image(content, replace(full, decode="reduced"))
    assert reduced.shape == whole.shape
    assert float(np.abs(reduced.astype(int) - whole).mean()) < 2.5


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(263, 197), (197, 263)])
def test_a_picture_on_its_side_is_turned(orientation: int, size: tuple[int, int]) -> None:
    """Sides that no power of two divides: the incomplete last row and column end up where they belong."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = jpeg(photograph(*size), exif=exif, subsampling=0)
    whole, reduced = decode_image(content, FULL), decode_image(content, REDUCED)
    off = np.abs(reduced.astype(int) - whole).mean(axis=0)
    assert float(off.mean()) < 2
    # A shift by a part of a pixel would be seen at the edges most.
    assert all(float(edge.mean()) < 3 for edge in (off[0], off[-1], off[:, 0], off[:, -1]))


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:2:0"}])
def test_every_kind_of_jpeg_is_read(mode: str, options: dict[str, object]) -> None:
    """Gray ones, those of printers, progressive ones; to gray as well."""
    if mode != "RGB":
        options = {key: value for key, value in options.items() if key != "subsampling"}
    content = jpeg(photograph(300, 200).convert(mode), **options)
    for full in (FULL, replace(FULL, color="L", mean=(0.5,), std=(0.5,))):
        whole, reduced = decode_image(content, full), decode_image(content, replace(full, decode="reduced"))
        assert float(np.abs(reduced.astype(int) - whole).mean()) < 2.5


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_other_formats_are_read_as_ever(kind: str) -> None:
    """They have no smaller version of themselves."""
    buffer = io.BytesIO()
    photograph(300, 200).save(buffer, kind)
    np.testing.assert_array_equal(decode_image(buffer.getvalue(), REDUCED), decode_image(buffer.getvalue(), FULL))


def test_a_pillow_image_is_neither_altered_nor_reduced() -> None:
    """It is its owner's, and may not be decoded yet."""
    content = jpeg(photograph(300, 200))
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(decode_image(image, REDUCED), decode_image(content, FULL))
        assert image.size == (300, 200)


def test_a_file_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    """Whatever way a picture comes in."""
    content = jpeg(photograph(300, 200))
    (tmp_path / "picture.jpg").write_bytes(content)
    np.testing.assert_array_equal(decode_image(tmp_path / "picture.jpg", REDUCED), decode_image(content, REDUCED))


def test_a_truncated_file_is_refused() -> None:
    """As when it is decoded whole."""
    content = jpeg(photograph(300, 200))
    with pytest.raises(ImageError):
        decode_image(content[: len(content) // 2], REDUCED)


def test_full_decoding_leaves_a_specification_as_it_was() -> None:
    """Byte for byte: bundles without the rule don't change."""
    assert FULL.format_version == 1
    assert "decode" not in FULL.to_json()
    assert InputSpec.from_json(FULL.to_json()) == FULL


def test_a_reader_that_does_not_know_the_rule_is_kept_away() -> None:
    """It would decode whole pictures: the version says that it can't."""
    assert REDUCED.format_version == 4
    text = essentials_json("name", ("a", "b"), REDUCED, 1.0)
    assert parse_essentials(text)[2] == InputSpec.from_json(REDUCED.to_json()) == REDUCED
    with pytest.raises(BundleError, match="decode"):
        InputSpec.from_json({**FULL.to_json(), "decode": "tenth"})


@pytest.mark.parametrize("fields", [{"antialias": False}, {"resample": "nearest"}])
def test_pixels_that_must_not_be_smoothed_are_not_reduced(fields: dict[str, object]) -> None:
    """A contradiction, and told as one."""
    with pytest.raises(ValueError, match="reduced"):
        replace(REDUCED, **fields)  # type: ignore[arg-type]  # fields of any type


def test_the_headroom_is_what_the_format_says() -> None:
    """docs/reference/bundle-format.md states it: another would be another rule."""
    assert HEADROOM == 2
