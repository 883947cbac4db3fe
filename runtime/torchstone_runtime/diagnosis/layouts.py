"""Ways to read an array as channels, rows and columns."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Float64Array
from torchstone_runtime.diagnosis.result import Mistake
from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec

_CHANNELS: Final = (1, 3, 4)


@dataclass(frozen=True, slots=True)
class Reading:
    """An array taken as [C, H, W], and what is wrong with it if it is meant so."""

    values: Float64Array
    mistakes: tuple[Mistake, ...] = ()


def readings(tensor: npt.NDArray[Any], spec: InputSpec) -> list[Reading]:
    """Return the ways in which `tensor` may hold one image of the model's size; none fits another size.

    Raises:
        UsageError: it holds several images.
    """
    array = tensor.astype(np.float64)
    while array.ndim > 3 and array.shape[0] == 1:  # noqa: PLR2004 - C, H, W
        array = array[0]
    if array.ndim > 3:  # noqa: PLR2004
        raise UsageError(f"The tensor has the shape {tensor.shape}: several images.", "Save that of golden image K.")
    if array.ndim == 1:
        return _flattened(array, spec)
    if array.ndim == 2:  # noqa: PLR2004
        return [Reading(array[np.newaxis])] if spec.channels == 1 else [Reading(array[np.newaxis], ())]
    found = _three_axes(array, spec)
    sides = sorted((spec.height, spec.width))
    return [reading for reading in found if sorted(reading.values.shape[1:]) == sides]


def _three_axes(array: Float64Array, spec: InputSpec) -> list[Reading]:
    found = []
    if array.shape[0] in _CHANNELS:
        found += _without_alpha(array, ())
        if array.shape[0] == spec.channels > 1:
            again = array.reshape(*array.shape[1:], array.shape[0])
            text = "The axes were changed by reshape, which scrambles the picture; transpose (H, W, C) to (C, H, W)."
            found.append(Reading(np.moveaxis(again, -1, 0), (Mistake("reshaped", text),)))
    if array.shape[-1] in _CHANNELS:
        last = Mistake("nhwc", "The channels are the last axis (NHWC); the model takes them first (NCHW).")
        found += _without_alpha(np.moveaxis(array, -1, 0), (last,))
    if array.shape[1] in _CHANNELS:
        between = Mistake("nhwc", "The channels are the middle axis (H, C, W); the model takes them first (C, H, W).")
        found += _without_alpha(np.moveaxis(array, 1, 0), (between,))
    return found


def _without_alpha(array: Float64Array, mistakes: tuple[Mistake, ...]) -> list[Reading]:
    if array.shape[0] != max(_CHANNELS):
        return [Reading(array, mistakes)]
    alpha = Mistake("alpha", "The alpha channel was kept; the model takes none.")
    return [Reading(array[:3], (*mistakes, alpha))]


def _flattened(array: Float64Array, spec: InputSpec) -> list[Reading]:
    if array.size != spec.channels * spec.height * spec.width:
        return []
    flat = Mistake("flattened", f"The tensor is flat, {array.shape}; the model takes {('N', *spec.shape)}.")
    found = [Reading(array.reshape(spec.shape), (flat,))]
    if spec.channels > 1:
        last = np.moveaxis(array.reshape(spec.height, spec.width, spec.channels), -1, 0)
        nhwc = Mistake("nhwc", "The channels vary fastest (NHWC); the model takes them first (NCHW).")
        found.append(Reading(last, (flat, nhwc)))
    return found
