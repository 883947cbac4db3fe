"""The preprocessing of torchvision's pretrained weights, from its enumerations of weights; nothing is downloaded."""

import inspect
from typing import Any, Final

from torchstone_export.preprocessing.preprocessing import (
    Preprocessing,
    cropped,
    nearest,
    no_such_geometry,
    require_sides,
)
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import shortlist

_EXAMPLE: Final = "For example: --preprocess torchvision:ResNet50_Weights.IMAGENET1K_V2"
_FILTERS: Final = ("nearest", "bilinear", "bicubic", "lanczos")


def from_torchvision(name: str) -> Preprocessing:
    """Read the preprocessing of weights such as `ResNet50_Weights.IMAGENET1K_V2`.

    It is what torchvision's transform does to a Pillow picture, which Pillow resizes with antialiasing whatever the
    transform says of tensors.

    Raises:
        UsageError: no such weights, or weights of a model that is no classifier of pictures.
    """
    weights = _find_weights(name)
    source = f"torchvision:{weights}"
    transform = weights.transforms()
    if type(transform).__name__ != "ImageClassification":
        raise UsageError(f"{source} are not the weights of a classifier of pictures.", _EXAMPLE)
    crop = require_sides(transform.crop_size, "crop_size", source)
    resize = require_sides(transform.resize_size, "resize_size", source)
    if len(transform.resize_size) == 1:
        geometry = cropped(resize[0], crop, source)
    elif resize == crop:
        geometry = {"fit": "stretch", "input": (3, *crop)}
    else:
        raise no_such_geometry(source, f"stretches pictures to {resize[0]} x {resize[1]} and crops them after that")
    resampling = transform.interpolation.value
    if resampling not in _FILTERS:
        raise no_such_geometry(source, f"resizes with the filter {resampling}")
    fields = {"color": "RGB", "mean": tuple(transform.mean), "std": tuple(transform.std)}
    return Preprocessing(source, geometry | fields | {"pixel_range": "0-1", "resize_filter": resampling})


def _find_weights(name: str) -> Any:  # noqa: ANN401 - a member of one of torchvision's enumerations
    enumeration, _, member = name.partition(".")
    known = _enumerations()
    if enumeration not in known:
        raise _unknown_enumeration(enumeration, known)
    members = list(known[enumeration].__members__)
    if member in members:
        return known[enumeration][member]
    found = f"has no weights '{member}'" if member else "names several weights"
    listed = shortlist([f"{enumeration}.{item}" for item in members])
    raise UsageError(f"torchvision's {enumeration} {found}.", f"Give one of: {listed}.")


def _enumerations() -> dict[str, Any]:
    import torchvision  # noqa: PLC0415 - takes a second, and only this source needs it
    from torchvision.models import WeightsEnum  # noqa: PLC0415

    places = (torchvision.models.quantization, torchvision.models)
    return {
        name: value
        for place in places
        for name, value in vars(place).items()
        if inspect.isclass(value) and issubclass(value, WeightsEnum) and value is not WeightsEnum
    }


def _unknown_enumeration(name: str, known: dict[str, Any]) -> UsageError:
    plain = {item.removesuffix("_Weights").lower().replace("_", ""): item for item in known}
    wanted = name.lower().removesuffix("_weights").replace("_", "")
    if wanted in plain:  # a network's name, or the enumeration's in other letters
        listed = shortlist([f"{plain[wanted]}.{item}" for item in known[plain[wanted]].__members__])
        return UsageError(
            f"torchvision has no weights '{name}': they are named with their set.", f"Give one: {listed}."
        )
    return UsageError(f"torchvision has no weights '{name}'.", nearest(name, known) or _EXAMPLE)
