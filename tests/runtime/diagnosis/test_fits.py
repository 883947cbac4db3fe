"""Models that take pictures cropped, padded or unsmoothed: another geometry is named, the right one not accused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.diagnose import diagnose_preprocessing
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec

STRETCH = InputSpec(color="RGB", height=32, width=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
CROP = replace(STRETCH, fit="crop", resize=37)
PAD = replace(STRETCH, fit="pad", fill=114)
UNSMOOTHED = replace(STRETCH, antialias=False)
SPECS = {"crop": CROP, "pad": PAD, "unsmoothed": UNSMOOTHED, "cropped unsmoothed": replace(CROP, antialias=False)}


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 100 x 140 pixels with coarse and fine structure."""
    generator = np.random.default_rng(5)
    coarse = Image.fromarray(generator.integers(0, 256, (7, 10, 3), dtype=np.uint8)).resize((140, 100))
    pixels = np.asarray(coarse).astype(int) + generator.integers(-25, 26, (100, 140, 3))
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def tensor_of(photo: Path, spec: InputSpec) -> Float64Array:
    """Return the normalised tensor that a preprocessing with that geometry makes."""
    shape = (-1, 1, 1)
    pixels = decode_image(photo, spec).astype(np.float64) / 255
    normalised: Float64Array = (pixels - np.array(spec.mean).reshape(shape)) / np.array(spec.std).reshape(shape)
    return normalised


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_right_geometry_is_not_accused(photo: Path, spec: InputSpec) -> None:
    """It explains the tensor without a mistake."""
    answer = diagnose_preprocessing(tensor_of(photo, spec), decode_image(photo, spec), spec, photo)
    assert answer.right


@pytest.mark.parametrize(
    ("right", "wrong", "code"),
    [
        (CROP, STRETCH, "stretched"),
        (CROP, replace(CROP, resize=32), "cropped"),
        (CROP, PAD, "padded"),
        (CROP, replace(CROP, resample="bicubic"), "resize-filter"),
        (CROP, replace(CROP, antialias=False), "resize-filter"),
        (PAD, STRETCH, "stretched"),
        (PAD, CROP, "cropped"),
        (PAD, replace(PAD, fill=0), "padded"),
        (UNSMOOTHED, STRETCH, "resize-filter"),
        (STRETCH, UNSMOOTHED, "resize-filter"),
        (STRETCH, CROP, "cropped"),
        (STRETCH, PAD, "padded"),
    ],
)
def test_another_geometry_is_named(photo: Path, right: InputSpec, wrong: InputSpec, code: str) -> None:
    """One mistake, by its code."""
    answer = diagnose_preprocessing(tensor_of(photo, wrong), decode_image(photo, right), right, photo)
    assert answer.codes == (code,)
