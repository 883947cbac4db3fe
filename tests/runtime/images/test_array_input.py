"""Arrays that are not what the model takes, and what callers are told."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from torchstone_runtime.errors import ImageError, UsageError
from torchstone_runtime.images.array_input import as_batch
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.inference.classifier import Classifier

SHAPE = (2, 1, 12, 10)
RAW = np.arange(240, dtype=np.uint8).reshape(SHAPE)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (RAW / np.float32(255), "float32.*between 0 and 1: they look scaled.*images \\* 255"),
        (RAW / 127.5 - 1, "float64.*from -1 to 0.87.*: they look normalised"),
        (RAW.astype(np.float32), "from 0 to 239.*images.astype\\(numpy.uint8\\)"),
        (RAW.astype(np.int64), "int64.*from 0 to 239.*images.astype\\(numpy.uint8\\)"),
        (RAW.astype(np.uint16) * 257, "uint16.*not 8-bit pixels.*images // 257"),
        (RAW.astype(np.int16) - 128, "int16.*from -128.*not 8-bit pixels"),
        (np.where(RAW == 7, np.nan, RAW), "NaN or infinite"),
        (np.full(SHAPE, np.inf, np.float16), "NaN or infinite"),
        (RAW > 100, "bool.*images.astype\\(numpy.uint8\\) \\* 255"),
        (RAW.astype(object), "The images are object"),
        (RAW.astype(str), "The images are <U"),
        (RAW.astype(np.complex64), "The images are complex64"),
        (np.empty((0, 12, 10)), "The images are float64"),
    ],
)
def test_what_the_values_look_like_is_said(gray: InputSpec, images: npt.NDArray[Any], said: str) -> None:
    """With what to do, and the rule that holds for all."""
    with pytest.raises(UsageError, match=f"(?s){said}.*Don't scale or normalise them"):
        as_batch(images, gray)


def test_channels_that_come_last_are_told(rgb: InputSpec) -> None:
    """For one picture and for many; the remedy works."""
    pictures = np.zeros((4, 12, 10, 3), np.uint8)
    for images in (pictures, pictures[0]):
        with pytest.raises(UsageError, match=r"(?s)expected \(N, 3, 12, 10\).*numpy\.moveaxis\(images, -1, -3\)"):
            as_batch(images, rgb)
    assert as_batch(np.moveaxis(pictures, -1, -3), rgb).shape == (4, 3, 12, 10)


@given(
    images=arrays.arrays(
        st.one_of(arrays.scalar_dtypes(), st.just(np.dtype(np.uint8))),
        arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=13),
    )
)
def test_any_array_is_a_batch_or_a_usage_error(images: npt.NDArray[Any]) -> None:
    """No other error escapes, whatever the dtype and the shape."""
    spec = InputSpec(color="L", height=12, width=10, mean=(0.5,), std=(0.5,))
    try:
        batch = as_batch(images, spec)
    except UsageError:
        return
    assert batch.dtype == np.uint8
    assert batch.shape[1:] == (1, 12, 10)


def test_a_batch_larger_than_the_memory_is_refused(classifier: Classifier) -> None:
    """Here one picture that stands for ten thousand million; the message says what to do instead."""
    huge = np.broadcast_to(np.zeros((28, 28), np.uint8), (10**10, 28, 28))
    with pytest.raises(UsageError, match=r"(?s)10,000,000,000 images.*more than fit into memory.*Classifier\.stream"):
        classifier.predict(huge)


@pytest.mark.parametrize("thing", [None, 3, 2.5, object()])
def test_what_is_no_image_is_refused_by_its_type(classifier: Classifier, thing: Any) -> None:  # noqa: ANN401
    """Not with a TypeError from within."""
    with pytest.raises(UsageError, match=f"given as {type(thing).__name__}"):
        classifier.predict(thing)


def test_files_that_lie_about_their_format(classifier: Classifier, tmp_path: Path) -> None:
    """The content counts: a PNG named .jpg is read, a program or a web page named .png is refused by name."""
    Image.new("L", (28, 28)).save(tmp_path / "really.png")
    (tmp_path / "really.png").rename(tmp_path / "picture.jpg")
    assert len(classifier.predict(tmp_path / "picture.jpg")) == 1
    for content in (b"\x7fELF\x02\x01\x01", b"<!doctype html><p>404", b"%PDF-1.7", b"PK\x03\x04"):
        (tmp_path / "lie.png").write_bytes(content)
        with pytest.raises(ImageError, match=r"lie\.png is not an image"):
            classifier.predict(tmp_path / "lie.png")
