"""What a tensor would be at the graph's input, so that the model can be asked about it."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.diagnosis.result import Stage
from torchstone_runtime.images.input_spec import InputSpec

_HALF: Final = 0.51
"""Gray levels beyond 0 or 255 that rounding brings back."""
_MOST: Final = 0.5


def as_pixels(tensor: npt.NDArray[Any], stage: Stage, spec: InputSpec) -> tuple[Uint8Array, float] | None:
    """Return the uint8 [C, H, W] for which the graph computes what the tensor holds, to the nearest gray level.

    Raw pixels are taken as they are; all else as the values behind the graph's own normalisation. Pixels can't express
    every value: the second number is the share that was clipped. None where it is above a half, or where the shape is
    not the model's.
    """
    array = tensor[0] if tensor.ndim > 3 and len(tensor) == 1 else tensor  # noqa: PLR2004 - C, H, W
    if array.shape != spec.shape:
        return None
    values = array.astype(np.float64)
    if stage != "raw pixels":
        mean, std = (np.asarray(numbers)[:, None, None] for numbers in (spec.mean, spec.std))
        values = (values * std + mean) * 255
    clipped = float(((values < -_HALF) | (values > 255 + _HALF)).mean())
    if not np.isfinite(values).all() or clipped > _MOST:
        return None
    return np.rint(values).clip(0, 255).astype(np.uint8), clipped
