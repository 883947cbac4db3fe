"""Mistakes of a preprocessing are named, and a right one is not accused."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.data.digits import load_digits
from torchstone_runtime.diagnosis import Diagnosis, diagnose_preprocessing, read_tensor
from torchstone_runtime.errors import DataError, UsageError
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec

Array = npt.NDArray[Any]
GRAY = InputSpec(color="L", height=28, width=28, mean=(0.286,), std=(0.353,))
COLOR = InputSpec(color="RGB", height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
DIGIT: Uint8Array = load_digits().store.read(np.array([5]))[0]


def smooth_picture(height: int, width: int, seed: int = 0) -> Uint8Array:
    """Return a smooth colour picture [3, H, W] with an edge in it, for which no two channels are alike."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = [np.sin(generator.uniform(3, 25, 3) @ np.stack([y, x, np.ones_like(x)]).reshape(3, -1)) for _ in range(9)]
    planes = np.stack(waves).reshape(3, 3, height, width).sum(axis=1) * 40 + 128
    planes[:, : height // 3, : width // 2] += np.array([60, -40, 20])[:, None, None]
    pixels: Uint8Array = planes.clip(0, 255).astype(np.uint8)
    return pixels


PICTURE = smooth_picture(32, 32)


def normalised(x: Array, spec: InputSpec) -> Array:
    """Return what the graph computes."""
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
    return (x.astype(np.float32) / 255 - mean) / std


def with_constants(x: Array, mean: float, std: float) -> Array:
    """Return the pixels normalised with one mean and std for all channels."""
    return ((x / 255 - mean) / std).astype(np.float32)


# ruff: noqa: ARG005 - every mistake is called with the image and the specification
IN_BOTH: dict[str, Callable[[Array, InputSpec], Array]] = {
    "not-scaled": lambda x, s: (x - np.array(s.mean)[:, None, None]) / np.array(s.std)[:, None, None],
    "scaled-twice": lambda x, s: normalised(x / 255, s),
    "not-normalised": lambda x, s: x / np.float32(255),
    "normalised-twice": lambda x, s: normalised(normalised(x, s) * 255, s),
    "wrong-mean-std": lambda x, s: with_constants(x, 0.1, 0.9),
    "wrong-std": lambda x, s: normalised(x, s) / 1.3,
    "wrong-mean": lambda x, s: normalised(x, s) + 0.2,
    "own-statistics": lambda x, s: (x - x.mean()) / x.std(),
    "inverted": lambda x, s: normalised(255 - x, s),
    "gamma": lambda x, s: normalised(255 * (x / 255) ** 2.2, s),
    "rounded": lambda x, s: normalised(x, s).astype(np.int64),
    "clipped": lambda x, s: normalised(x, s).clip(0, 1),
    "dtype": lambda x, s: x.astype(np.int64),
    "nhwc": lambda x, s: np.moveaxis(normalised(x, s), 0, -1)[None],
    "flattened": lambda x, s: normalised(x, s).ravel(),
    "transposed": lambda x, s: normalised(x, s).swapaxes(1, 2),
    "flipped-horizontally": lambda x, s: normalised(x, s)[:, :, ::-1],
    "flipped-vertically": lambda x, s: normalised(x, s)[:, ::-1],
    "rotated-180": lambda x, s: normalised(x, s)[:, ::-1, ::-1],
    "rotated-90": lambda x, s: np.rot90(normalised(x, s), 1, (1, 2)),
    "shifted": lambda x, s: normalised(np.pad(x, ((0, 0), (0, 0), (3, 0)))[:, :, :-3], s),
    "size": lambda x, s: normalised(x, s)[:, :-1],
    "not-finite": lambda x, s: np.full(s.shape, np.nan),
}
IN_COLOR: dict[str, Callable[[Array], Array]] = {
    "bgr": lambda x: x[::-1],
    "channel-order": lambda x: x[[1, 2, 0]],
    "grayscale": lambda x: np.repeat(x.mean(axis=0, keepdims=True).round(), 3, axis=0),
    "color-space": lambda x: np.moveaxis(np.asarray(Image.fromarray(np.moveaxis(x, 0, -1)).convert("YCbCr")), -1, 0),
    "reshaped": lambda x: np.moveaxis(x, 0, -1).reshape(x.shape),
    "alpha": lambda x: np.concatenate([x, x[:1] * 0 + 255]),
}


def found(tensor: Array, golden: Uint8Array, spec: InputSpec) -> Diagnosis:
    """Diagnose without a picture."""
    return diagnose_preprocessing(np.asarray(tensor), golden, spec)


@pytest.mark.parametrize(("golden", "spec"), [(DIGIT, GRAY), (PICTURE, COLOR)], ids=["gray", "colour"])
@pytest.mark.parametrize("code", IN_BOTH)
def test_a_mistake_is_named(code: str, golden: Uint8Array, spec: InputSpec) -> None:
    """That one and no other."""
    assert found(IN_BOTH[code](golden, spec), golden, spec).codes == (code,)


@pytest.mark.parametrize("code", IN_COLOR)
def test_a_mistake_with_channels_is_named(code: str) -> None:
    """On raw pixels, which then are right but for that."""
    answer = found(IN_COLOR[code](PICTURE).astype(np.uint8), PICTURE, COLOR)
    assert answer.codes == (code,)
    assert answer.stage == "raw pixels"


@pytest.mark.parametrize("first", ["bgr", "grayscale"])
@pytest.mark.parametrize("second", ["not-scaled", "scaled-twice", "not-normalised", "inverted", "nhwc", "rotated-180"])
def test_two_mistakes_are_both_named(first: str, second: str) -> None:
    """One with the channels and one with values, layout or place."""
    answer = found(IN_BOTH[second](IN_COLOR[first](PICTURE), COLOR), PICTURE, COLOR)
    assert answer.codes == tuple(sorted((first, second)))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("batch", [True, False])
def test_a_right_tensor_is_not_accused(dtype: str, batch: bool) -> None:
    """Normalised in any precision, with or without a batch axis; the graph does not take it all the same."""
    for golden, spec in ((DIGIT, GRAY), (PICTURE, COLOR)):
        tensor = normalised(golden, spec).astype(dtype)
        answer = found(tensor[None] if batch else tensor, golden, spec)
        assert (answer.right, answer.right_for_graph, answer.stage) == (True, False, "normalised")


def test_raw_pixels_are_right_for_the_graph() -> None:
    """The golden image itself."""
    assert found(PICTURE, PICTURE, COLOR).right_for_graph


@settings(deadline=None, max_examples=40)
@given(st.floats(-0.5, 1), st.floats(0.05, 3))
def test_the_constants_that_were_used_are_found(mean: float, std: float) -> None:
    """To four digits, whatever they were."""
    answer = found(with_constants(DIGIT, mean, std).astype(np.float64), DIGIT, GRAY)
    if answer.estimated_mean:
        assert answer.estimated_mean[0] == pytest.approx(mean, abs=2e-4)
        assert answer.estimated_std[0] == pytest.approx(std, rel=2e-4)
    else:
        # A named chain that gives just these values, such as those without any normalisation.
        assert answer.right or answer.codes


def test_known_constants_are_named() -> None:
    """Where they come from is said."""
    assert "MNIST" in found(with_constants(DIGIT, 0.1307, 0.3081), DIGIT, GRAY).note


def test_what_this_image_cannot_show_is_listed() -> None:
    """On a gray picture the order of the channels, on one that is symmetric a flip."""
    gray = np.repeat(PICTURE[:1], 3, axis=0)
    assert "bgr" in found(gray, gray, COLOR).invisible
    mirrored = np.concatenate([PICTURE[:, :, :16], PICTURE[:, :, 15::-1]], axis=2)
    assert "flipped-horizontally" in found(normalised(mirrored, COLOR), mirrored, COLOR).invisible


def test_another_picture_is_not_explained() -> None:
    """The tensor of another image, and noise."""
    for tensor in (normalised(smooth_picture(32, 32, 9), COLOR), np.random.default_rng(0).normal(size=COLOR.shape)):
        answer = found(tensor, PICTURE, COLOR)
        assert not answer.explained
        assert "does not show this image" in answer.note


def test_several_images_are_refused() -> None:
    """A batch of two."""
    with pytest.raises(UsageError, match="several images"):
        found(np.stack([DIGIT, DIGIT]), DIGIT, GRAY)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture file of 100 x 140 pixels that the camera held sideways."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.moveaxis(smooth_picture(140, 100, 3), 0, -1)).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("resize-filter", lambda image: image.resize((32, 32), Image.Resampling.NEAREST)),
        ("cropped", lambda image: ImageOps.fit(image, (32, 32), Image.Resampling.BILINEAR)),
        ("padded", lambda image: ImageOps.pad(image, (32, 32), Image.Resampling.BILINEAR)),
    ],
)
def test_mistakes_before_the_models_size_need_the_picture(
    photo: Path, code: str, change: Callable[[Image.Image], Image.Image]
) -> None:
    """With it they are named; without it nothing wrong is said, but that it is needed."""
    golden = decode_image(photo, COLOR)
    changed = np.moveaxis(np.asarray(change(ImageOps.exif_transpose(Image.open(photo)))), -1, 0)
    tensor = normalised(changed, COLOR)
    assert diagnose_preprocessing(tensor, golden, COLOR, photo).codes == (code,)
    without = found(tensor, golden, COLOR)
    assert without.mistakes == ()
    assert "--image" in without.note


def test_an_ignored_rotation_is_named(photo: Path) -> None:
    """It is more than a rotation of the small picture: the stretching differs."""
    golden = decode_image(photo, COLOR)
    sideways = np.moveaxis(np.asarray(Image.open(photo).resize((32, 32), Image.Resampling.BILINEAR)), -1, 0)
    assert "exif-ignored" in diagnose_preprocessing(normalised(sideways, COLOR), golden, COLOR, photo).codes


def test_another_picture_than_the_golden_one_is_refused(photo: Path) -> None:
    """Given by mistake."""
    with pytest.raises(UsageError, match="not the picture of this golden image"):
        diagnose_preprocessing(PICTURE, PICTURE, COLOR, photo)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.zeros((0, 3)), np.zeros(3, complex)])
def test_a_file_without_numbers_is_refused(tmp_path: Path, array: Array) -> None:
    """Text, pickled objects, nothing at all, complex numbers."""
    np.save(tmp_path / "t.npy", array)
    with pytest.raises(DataError):
        read_tensor(tmp_path / "t.npy")


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200), st.booleans())
def test_any_file_gives_an_array_or_a_data_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bool
) -> None:
    """Also behind the first bytes of the format."""
    path = tmp_path_factory.getbasetemp() / "any.npy"
    path.write_bytes((b"\x93NUMPY\x01\x00" if start else b"") + content)
    with contextlib.suppress(DataError):
        assert read_tensor(path).size > 0
