"""Arrays as they come from callers: checked, and told apart from what they look like but are not."""

from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec

_RULE = "Don't scale or normalise them: the model does that itself."
_BRIGHTEST = 255

Layout = Literal["NCHW", "NHWC"]


def as_batch(images: npt.NDArray[Any], spec: InputSpec, layout: Layout = "NCHW") -> Uint8Array:
    """Return images as the model takes them: uint8, contiguous, of shape (N, C, H, W).

    Args:
        images: uint8 of shape (N, C, H, W), (C, H, W), or with one channel (N, H, W) or (H, W).
        spec: input specification of the model.
        layout: `NHWC` where the channels come last, as in (N, H, W, C) or (H, W, C).

    Raises:
        UsageError: another dtype or shape, or a layout that there isn't; the message says what the values look like.
    """
    if layout not in get_args(Layout):
        raise UsageError(f"layout is '{layout}'.", f"Give one of {', '.join(get_args(Layout))}.")
    if layout == "NHWC" and images.ndim >= len(spec.shape):
        images = np.moveaxis(images, -1, -3)
    if images.dtype != np.uint8:
        raise _wrong_dtype(images)
    expected = spec.shape
    gray = expected[0] == 1 and images.shape[-2:] == expected[1:] and images.ndim in (2, 3)
    if gray and images.shape != expected:
        images = images[..., np.newaxis, :, :]
    batch = images[np.newaxis] if images.ndim == len(expected) else images
    if batch.shape[1:] != expected:
        raise _wrong_shape(images, expected)
    return np.ascontiguousarray(batch)


def _wrong_dtype(images: npt.NDArray[Any]) -> UsageError:
    found, remedy = _describe_values(images)
    return UsageError(
        f"The images are {images.dtype}; the model takes raw uint8 pixels from 0 to 255.{found}",
        f"{remedy}{_RULE}",
    )


def _describe_values(images: npt.NDArray[Any]) -> tuple[str, str]:
    """Return what the values look like, and what to do."""
    if images.dtype == np.bool_:
        return "", "Black and white pixels are images.astype(numpy.uint8) * 255. "
    if images.size == 0 or images.dtype.kind not in "iuf":
        return "", ""
    low, high = float(images.min()), float(images.max())
    if not np.isfinite((low, high)).all():
        return " Some of their values are NaN or infinite.", "Find out where those come from. "
    return _describe_range(low, high, floats=images.dtype.kind == "f")


def _describe_range(low: float, high: float, *, floats: bool) -> tuple[str, str]:
    span = f" Their values go from {low:g} to {high:g}"
    if floats and low < 0:
        return f"{span}: they look normalised.", "Give the pixels as they were before that, as uint8. "
    if low < 0 or high > _BRIGHTEST:
        return f"{span}: they are not 8-bit pixels.", "Reduce them to 8 bits first (16 bits: images // 257). "
    if floats and high <= 1:
        remedy = "Give the pixels as they were before that, or numpy.rint(images * 255).astype(numpy.uint8). "
        return " Their values lie between 0 and 1: they look scaled.", remedy
    return f"{span}.", "Where they are raw pixels, give images.astype(numpy.uint8). "


def _wrong_shape(images: npt.NDArray[Any], expected: tuple[int, int, int]) -> UsageError:
    channels, height, width = expected
    remedy = "Give paths or Pillow images to have them converted and resized."
    if images.shape[-3:] == (height, width, channels) and images.ndim in (3, 4):
        remedy = (
            "Their channels come last; say so with layout='NHWC', or put them first: numpy.moveaxis(images, -1, -3)."
        )
    return UsageError(
        f"The images have the shape {images.shape}; expected (N, {channels}, {height}, {width}).",
        remedy,
    )
