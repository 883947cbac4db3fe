"""A preprocessing that somebody stated, in the terms of a model's spec."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_train.networks.backbones.stated_input import InexpressibleInputError, StatedInput


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a source says of a model's input.

    Attributes:
        source: name of the source, for messages.
        fields: values by field of `foreign.model_spec.ModelSpec`; mean and std are in the order of `color`.
        notes: sentences on what its owner should know.
    """

    source: str
    fields: dict[str, Any]
    notes: tuple[str, ...] = ()


def require_sides(value: object, what: str, source: str) -> tuple[int, int]:
    """Return height and width of one number or two.

    Raises:
        UsageError: it is neither.
    """
    sides = [value] if isinstance(value, int) else value
    if isinstance(sides, list | tuple) and len(sides) in (1, 2) and all(_is_side(side) for side in sides):
        return int(sides[0]), int(sides[-1])
    raise UsageError(
        f"{source}: {what} is {value!r}; expected a number of pixels, or height and width.",
        "State it by options: --input, --fit and --resize.",
    )


def cropped(resize: int, crop: tuple[int, int], source: str) -> dict[str, Any]:
    """Return the fields of a resize of the shorter side and a centre crop.

    Args:
        resize: pixels of the shorter side.
        crop: height and width.
        source: name of the source, for messages.

    Raises:
        UsageError: the crop is larger than what it is taken from, so that it would be filled up.
    """
    if resize < max(crop):
        raise _filled_up(
            source,
            f"crops {crop[0]} x {crop[1]} pixels out of a picture whose shorter side is {resize}, and fills up what is "
            "missing",
        )
    return {"fit": "crop", "resize": resize, "input": (3, *crop)}


def of_stated(read: Callable[[], StatedInput], source: str) -> Preprocessing:
    """Return what a reader of training's backbones found, in the terms of a model's spec.

    Raises:
        UsageError: it can't be expressed.
    """
    try:
        found = read()
    except InexpressibleInputError as error:
        raise (_filled_up if error.fills_up else no_such_geometry)(source, str(error)) from error
    geometry: dict[str, Any] = {"fit": found.fit, "input": (3, found.height, found.width)}
    if found.fit == "crop":
        geometry["resize"] = found.resize
    if found.fit == "pad":
        geometry["fill"] = found.fill
    fields = {"color": "RGB", "mean": found.mean, "std": found.std, "pixel_range": "0-1"}
    return Preprocessing(source, geometry | fields | {"resize_filter": found.resample})


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for the known name nearest to one, capitals aside; empty where none is near."""
    proper = {item.lower(): item for item in known}
    hint = suggestion(name, proper)
    found = [item for item in proper if f"'{item}'" in hint]
    return f"Did you mean '{proper[found[0]]}'?" if found and hint.startswith("Did") else ""


def no_such_geometry(source: str, what: str, remedy: str = "") -> UsageError:
    """Return the error for a way of fitting pictures that a bundle can't express."""
    return UsageError(
        f"{source} {what}; a bundle can't do just that (it stretches, crops after a resize of the shorter side, or "
        "pads).",
        remedy or "Name what comes nearest by options: --input, --fit, --resize, --resize-filter, --mean and --std.",
    )


def _filled_up(source: str, does: str) -> UsageError:
    return UsageError(
        f"{source}: it {does}; a bundle can't do that.",
        "Say by options what to do instead, such as --fit crop, --fit pad or --fit stretch, with --input.",
    )


def _is_side(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
