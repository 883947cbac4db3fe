"""The preprocessing of torchvision's pretrained weights, from its enumerations of weights; nothing is downloaded."""

import inspect
from typing import Any, Final

from torchstone_export.preprocessing.preprocessing import Preprocessing, nearest, of_stated
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import shortlist
from torchstone_train.networks.backbones.stated_input import of_torchvision

_EXAMPLE: Final = "For example: --preprocess torchvision:ResNet50_Weights.IMAGENET1K_V2"


def from_torchvision(name: str) -> Preprocessing:
    """Read the preprocessing of weights such as `ResNet50_Weights.IMAGENET1K_V2`.

    It is what torchvision's transform does to a Pillow picture, which Pillow resizes with antialiasing whatever the
    transform says of tensors.

    Raises:
        UsageError: no such weights, or weights of a model that is not a classifier of pictures.
    """
    weights = _find_weights(name)
    source = f"torchvision:{weights}"
    transform = weights.transforms()
    if type(transform).__name__ != "ImageClassification":
        raise UsageError(f"{source} are not the weights of a classifier of pictures.", _EXAMPLE)
    return of_stated(lambda: of_torchvision(transform, source), source)


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
