"""The input and the weights that all folds have in common: where a cross-validation goes on, those of its first one."""

from dataclasses import fields, replace
from typing import Any

from torchstone_runtime.errors import UsageError
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.picture_geometry import PictureGeometry
from torchstone_train.request import TrainingRequest
from torchstone_train.run.run_dir import RunDirectory

_OF_LEVELS = ("mean", "std")


def like_first_fold(request: TrainingRequest, first: RunDirectory) -> TrainingRequest:
    """Return a request that trains the other folds on the input, and from the weights, that the first fold had.

    How pictures are read need not be said again, as for a run that goes on, but may be.

    Args:
        request: request of a cross-validation that goes on.
        first: run of its first fold, which has begun.

    Raises:
        UsageError: something else was said than the first fold had.
        DataError: its record is damaged.
    """
    info = first.read_info()
    with first.told_if_damaged():
        spec = InputSpec.from_json(info["input"])
        sha256 = info.get("backbone", {}).get("weights", {}).get("sha256")
    had, said = _of_spec(spec, pictures=request.dataset.has_pictures), _of_request(request, spec.channels)
    different = [name for name, value in said.items() if value is not None and value != had.get(name)]
    if different:
        raise UsageError(
            f"The cross-validation was made with other settings: {', '.join(different)}.",
            "Give the same ones to resume it.",
        )
    geometry = {field.name: had.pop(field.name) for field in fields(PictureGeometry) if field.name in had}
    return replace(
        request, **had, geometry=PictureGeometry(**geometry), weights_sha256=request.weights_sha256 or sha256
    )


def _of_spec(spec: InputSpec, *, pictures: bool) -> dict[str, Any]:
    levels = {name: getattr(spec, name) for name in _OF_LEVELS}
    if not pictures:
        return levels
    return levels | {
        "image_size": (spec.height, spec.width),
        "color": spec.color,
        "bits": spec.bits,
        "fit": spec.fit,
        "resize": spec.resize,
        "fill": spec.fill if spec.fit == "pad" else None,
        "resize_filter": spec.resample,
        "antialias": spec.antialias,
        "decode": spec.decode,
    }


def _of_request(request: TrainingRequest, channels: int) -> dict[str, Any]:
    said = {name: getattr(request, name) for name in ("image_size", "color", "bits")}
    said |= {field.name: getattr(request.geometry, field.name) for field in fields(PictureGeometry)}
    for name in _OF_LEVELS:
        levels = getattr(request, name)
        said[name] = levels * channels if levels is not None and len(levels) == 1 else levels
    return said
