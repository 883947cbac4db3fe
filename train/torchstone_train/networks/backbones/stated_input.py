"""The pictures that pretrained weights were made for, as torchvision and timm state it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from torchstone_runtime.images.input_spec import Fit, ResampleFilter

_FILTERS: Final = get_args(ResampleFilter)
CROP_SHARE: Final = 0.875
"""timm's `DEFAULT_CROP_PCT`."""
_IMAGENET: Final = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pictures, as torchvision and timm have them."""


class InexpressibleInputError(Exception):
    """An input that no `InputSpec` can express; its text is what the source does, as in "the weights ...".

    Attributes:
        fills_up: whether it is a crop that is larger than the resized picture.
    """

    def __init__(self, does: str, *, fills_up: bool = False) -> None:
        super().__init__(does)
        self.fills_up = fills_up


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


def of_torchvision(transform: Any, source: str) -> StatedInput:  # noqa: ANN401 - torchvision has no types
    """Express a transform `ImageClassification` of torchvision's weights.

    On Pillow's pictures, which it resizes with antialiasing whatever it says of tensors.

    Raises:
        InexpressibleInputError: no input specification says the same.
    """
    size, resize = _sides(transform.crop_size), _sides(transform.resize_size)
    cropped = len(transform.resize_size) == 1
    if not cropped and resize != size:
        raise _stretched_and_cropped(resize)
    return StatedInput(
        source=source,
        height=size[0],
        width=size[1],
        fit="crop" if cropped else "stretch",
        resize=_crop_side(resize[0], size) if cropped else None,
        resample=_filter(transform.interpolation.value),
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def of_timm(config: Mapping[str, Any], source: str) -> StatedInput:
    """Express a configuration that timm's `resolve_data_config` gives; what it lacks is timm's default.

    Raises:
        InexpressibleInputError: no input specification says the same.
    """
    channels, height, width = (int(side) for side in config.get("input_size", (3, 224, 224)))
    if channels != 3:  # noqa: PLR2004 - red, green, blue
        raise InexpressibleInputError(f"takes {channels} channels")
    mean, std = (
        tuple(map(float, config.get(key) or usual)) for key, usual in zip(("mean", "std"), _IMAGENET, strict=True)
    )
    share = float(config.get("crop_pct") or CROP_SHARE)
    fit, resize, fill = _timm_fit(config.get("crop_mode") or "center", share, (height, width), mean)
    return StatedInput(
        source=source,
        height=height,
        width=width,
        fit=fit,
        resize=resize,
        fill=fill,
        resample=_filter(config.get("interpolation", "bicubic")),
        mean=mean,
        std=std,
    )


def _timm_fit(mode: str, share: float, size: tuple[int, int], mean: tuple[float, ...]) -> tuple[Fit, int | None, int]:
    resized = (math.floor(size[0] / share), math.floor(size[1] / share))
    if mode == "squash":
        if resized != size:
            raise _stretched_and_cropped(resized)
        return "stretch", None, 0
    if mode == "border":
        levels = {round(255 * value) for value in mean}
        if resized != size or len(levels) > 1:
            raise InexpressibleInputError("pads pictures with a colour, or crops the padded picture")
        return "pad", None, levels.pop()
    if mode != "center":
        raise InexpressibleInputError(f"fits pictures by the mode '{mode}'")
    if size[0] != size[1]:
        raise InexpressibleInputError(f"crops {size[0]} x {size[1]} pixels out of a picture that just covers them")
    return "crop", _crop_side(resized[0], size), 0


def _sides(stated: Sequence[Any]) -> tuple[int, int]:
    return int(stated[0]), int(stated[-1])


def _crop_side(resize: int, size: tuple[int, int]) -> int:
    if resize < max(size):
        raise InexpressibleInputError(
            f"crops {size[0]} x {size[1]} pixels out of a picture whose shorter side is {resize}, and fills up what is "
            "missing",
            fills_up=True,
        )
    return resize


def _filter(name: str) -> ResampleFilter:
    if name not in _FILTERS:
        raise InexpressibleInputError(f"resizes with the filter {name}")
    return cast("ResampleFilter", name)


def _stretched_and_cropped(size: tuple[int, int]) -> InexpressibleInputError:
    return InexpressibleInputError(f"stretches pictures to {size[0]} x {size[1]} and crops them after that")
