"""The pictures that pretrained weights were made for, as torchvision and timm state it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, get_args

from torchstone_runtime.images.input_spec import Fit, ResampleFilter

_FILTERS: Final = get_args(ResampleFilter)
_CROP_SHARE: Final = 0.875
"""timm's `DEFAULT_CROP_PCT`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatedInput:
    """How a picture becomes an input.

    Attributes:
        source: name of what states it.
        height, width: pixels of the input.
        fit: `crop`: the shorter side becomes `resize` pixels and the centre is cut out; or `stretch`, `pad`.
        resize: pixels of the shorter side, for `crop`; else None.
        fill: level, 0 to 255, for `pad`.
        resample: Pillow's filter.
        mean, std: per channel, in units of 0 to 1.
    """

    source: str
    height: int
    width: int
    fit: Fit
    resize: int | None
    fill: int = 0
    resample: ResampleFilter
    mean: tuple[float, ...]
    std: tuple[float, ...]


def of_torchvision(transform: Any, source: str) -> StatedInput | None:  # noqa: ANN401 - torchvision has no types
    """Express a transform `ImageClassification` of torchvision's weights; None where an input can't be said so.

    On Pillow's pictures, which it resizes with antialiasing whatever it says of tensors.
    """
    crop, resize = transform.crop_size, transform.resize_size
    height, width = int(crop[0]), int(crop[-1])
    cropped = len(resize) == 1
    resampling = transform.interpolation.value
    if resampling not in _FILTERS or (cropped and resize[0] < max(height, width)):
        return None
    if not cropped and (int(resize[0]), int(resize[-1])) != (height, width):
        return None
    return StatedInput(
        source=source,
        height=height,
        width=width,
        fit="crop" if cropped else "stretch",
        resize=int(resize[0]) if cropped else None,
        resample=resampling,
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def of_timm(config: Mapping[str, Any], source: str) -> StatedInput | None:
    """Express a configuration that timm's `resolve_data_config` gives; None where an input can't be said so."""
    channels, height, width = (int(side) for side in config["input_size"])
    resampling = config.get("interpolation", "bicubic")
    mode, share = config.get("crop_mode") or "center", float(config.get("crop_pct") or _CROP_SHARE)
    resized = math.floor(min(height, width) / share)
    mean, std = (tuple(map(float, config[key])) for key in ("mean", "std"))
    whole = resized == min(height, width)
    levels = {round(255 * value) for value in mean}
    fits = {
        "center": height == width,
        "squash": whole,
        "border": whole and len(levels) == 1,
    }
    if channels != 3 or resampling not in _FILTERS or not fits.get(mode):  # noqa: PLR2004 - red, green, blue
        return None
    names: dict[str, Fit] = {"center": "crop", "squash": "stretch", "border": "pad"}
    return StatedInput(
        source=source,
        height=height,
        width=width,
        fit=names[mode],
        resize=resized if mode == "center" else None,
        fill=levels.pop() if mode == "border" else 0,
        resample=resampling,
        mean=mean,
        std=std,
    )
