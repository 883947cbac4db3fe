from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from torchstone_runtime.data.folder import FileStore
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import decode_original
from torchstone_runtime.images.input_spec import ColorMode, InputSpec
from torchstone_train.data.pictures import FilePictures, shorter_side_of_crops, to_pixels


def spec_of(color: ColorMode) -> InputSpec:
    """Return a specification of 9 x 11."""
    channels = 1 if color == "L" else 3
    return InputSpec(color=color, height=9, width=11, mean=(0.5,) * channels, std=(0.5,) * channels)


def whole(path: Path, shorter_side: int, color: ColorMode = "RGB") -> Image.Image:
    """Return a picture as it is cropped from."""
    return FilePictures(FileStore(path.parent, [path.name], spec_of(color)), shorter_side).picture(0)


def gradient(height: int, width: int) -> Image.Image:
    """Return a picture without edges, red to the right and green to the bottom."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [255 * columns / max(1, width - 1), 255 * rows / max(1, height - 1), np.full((height, width), 90)]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


@settings(max_examples=40, deadline=None)
@example(height=25, width=25, shorter_side=14, kind="jpg", color="L")
@example(height=3, width=51, shorter_side=1, kind="jpg", color="L")  # of three rows, half the size has two
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    shorter_side=st.integers(1, 200),
    kind=st.sampled_from(["jpg", "png"]),
    color=st.sampled_from(["L", "RGB"]),
)
def test_pictures_are_reduced_to_the_shorter_side_and_never_below(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, shorter_side: int, kind: str, color: ColorMode
) -> None:
    """In their proportions; a smaller one stays as it is decoded."""
    path = tmp_path_factory.mktemp("one") / f"picture.{kind}"
    gradient(height, width).save(path)
    found = whole(path, shorter_side, color)
    assert found.mode == color
    assert min(found.size) == min(height, width, shorter_side)
    if min(height, width) <= shorter_side:
        pixels = decode_original(path, color)
        assert np.array_equal(np.moveaxis(to_pixels(found), -1, 0), pixels)
    else:
        factor = shorter_side / min(height, width)
        assert max(found.size) == pytest.approx(max(height, width) * factor, abs=1.01 + 8 * factor)


def test_reduced_jpeg_is_nearly_the_whole_one_reduced(tmp_path: Path) -> None:
    """Decoding at a half or a quarter of the size costs less than two levels on average."""
    path = tmp_path / "photo.jpg"
    gradient(480, 640).save(path, quality=95)
    full = decode_original(path, "RGB")
    for shorter_side in (60, 100, 119, 121, 239, 240):
        found = whole(path, shorter_side)
        expected = Image.fromarray(np.moveaxis(full, 0, -1)).resize(found.size, Image.Resampling.BILINEAR)
        difference = to_pixels(found).astype(int) - to_pixels(expected)
        assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_a_turned_picture_is_cropped_from_upright(tmp_path: Path, kind: str) -> None:
    """As a telephone takes it: the EXIF rotation comes before the reduction."""
    path = tmp_path / f"turned.{kind}"
    exif = Image.Exif()
    exif[0x0112] = 6
    gradient(200, 400).save(path, exif=exif)
    found = whole(path, 50)
    assert found.size == (50, 100)
    red = to_pixels(found)[..., 0].astype(int)
    assert red[-1].mean() > red[0].mean() + 150  # what was right is at the bottom


def test_damaged_picture_is_named(tmp_path: Path) -> None:
    """As in every other place where pictures are decoded."""
    path = tmp_path / "cut.jpg"
    gradient(100, 100).save(path)
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(ImageError, match=r"cut\.jpg"):
        whole(path, 50)


def test_a_crop_of_a_quarter_of_the_area_is_never_enlarged() -> None:
    """The longer side of the model's input decides."""
    assert shorter_side_of_crops(224, 224) == 448
    assert shorter_side_of_crops(32, 64) == 128
