"""The preprocessing of Hugging Face's image processors, from their `preprocessor_config.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torchstone_export.preprocessing.hugging_face_defaults import DEFAULTS, class_of
from torchstone_export.preprocessing.preprocessing import (
    Preprocessing,
    cropped,
    nearest,
    no_such_geometry,
    require_sides,
)
from torchstone_export.preprocessing.timm_config import from_timm_config
from torchstone_runtime.errors import UsageError, first_line
from torchstone_runtime.text import showable

FILES: Final = ("preprocessor_config.json", "processor_config.json", "config.json")
"""What is looked for in a folder, in this order; the last one is timm's."""
_MOST_BYTES: Final = 1 << 20
_FILTERS: Final = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
_OTHER_FILTERS: Final = {4: "box", 5: "hamming"}
_WARPED_FROM: Final = 384
"""Pixels from which ConvNext's processor stretches pictures in place of cropping them."""
_UNUSUAL: Final = {
    "do_pad": "pads pictures",
    "do_thumbnail": "makes thumbnails",
    "do_align_long_axis": "turns pictures whose longer side lies across",
    "do_crop_margin": "cuts blank margins off",
    "do_image_splitting": "splits pictures",
    "do_color_quantize": "replaces colours by those of a palette",
    "do_grayscale": "turns pictures gray and keeps three channels",
}
_HALF_PIXEL: Final = (
    "where a centre crop leaves a half pixel over, Hugging Face always takes the one before the middle, a bundle "
    "rounds as torchvision does: the crop of some pictures lies one pixel apart"
)


def from_hugging_face(path: Path) -> Preprocessing:
    """Read the configuration of an image processor, or of timm's in the same place.

    It is what the processor does to a Pillow picture, but for the rounding of a centre crop (see `notes`).

    Args:
        path: path of the JSON file, or of a folder that holds it.

    Raises:
        UsageError: no such file, no such configuration, or one that a bundle can't express.
    """
    file = _find_file(path)
    config = _read(file)
    source = showable(str(file))
    nested = config.get("image_processor")
    if isinstance(nested, dict):
        config = nested
    if isinstance(timm := config.get("pretrained_cfg"), dict):
        return _expressed(lambda: from_timm_config(timm, source, timm), source)
    return _expressed(lambda: _from_processor(config, source), source)


def _expressed(read: Any, source: str) -> Preprocessing:  # noqa: ANN401 - a function without arguments
    try:
        preprocessing: Preprocessing = read()
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise UsageError(
            f"{source} is not valid: {first_line(error)}.", "Give the file as it was published with the model."
        ) from error
    return preprocessing


def _from_processor(config: dict[str, Any], source: str) -> Preprocessing:
    name = config.get("image_processor_type") or config.get("feature_extractor_type")
    if not isinstance(name, str):
        raise UsageError(
            f"{source} is not the configuration of an image processor: it has no 'image_processor_type'.",
            "Give the preprocessor_config.json that lies beside the model, or state the preprocessing by options.",
        )
    kind = class_of(name)
    if kind not in DEFAULTS:
        known = [f"{item}ImageProcessor" for item in DEFAULTS]
        raise UsageError(
            f"{source} is of {showable(name)}, whose way with pictures is not known here.",
            f"{nearest(f'{kind}ImageProcessor', known)} State the preprocessing by options: --input, --fit, --resize, "
            "--resize-filter, --mean and --std.".strip(),
        )
    stated = DEFAULTS[kind] | {key: value for key, value in config.items() if value is not None}
    if odd := [what for key, what in _UNUSUAL.items() if stated.get(key)]:
        raise no_such_geometry(source, odd[0])
    geometry = _geometry(kind, stated, source)
    mean, std = _normalisation(stated, source)
    fields = {
        "color": "BGR" if stated.get("do_flip_channel_order") else "RGB",
        "pixel_range": "0-1",
        "mean": mean,
        "std": std,
    }
    notes = (_HALF_PIXEL,) if geometry["fit"] == "crop" else ()
    return Preprocessing(source, geometry | fields | _filter(stated, source), notes)


def _geometry(kind: str, stated: Mapping[str, Any], source: str) -> dict[str, Any]:
    if not stated["do_resize"]:
        raise no_such_geometry(source, "doesn't resize pictures (do_resize is false)")
    size = _size(stated, source)
    crop = _crop_size(stated, source) if stated.get("do_center_crop") else None
    if kind == "ConvNext":
        return _of_convnext(size.get("shortest_edge"), crop, float(stated["crop_pct"]), source)
    shorter = size.get("shortest_edge")
    if kind == "PoolFormer" and stated.get("crop_pct"):
        sides = require_sides(shorter or [size.get("height"), size.get("width")], "size", source)
        if sides[0] != sides[1]:
            raise no_such_geometry(source, "resizes to sides of unequal length after a share is cut off")
        shorter = int(sides[0] / float(stated["crop_pct"]))
    elif kind == "Levit" and shorter:
        shorter = int(256 / 224 * shorter)  # as its processor has it, whatever the size
    return _both_sides(size, crop, source) if shorter is None else _shorter_side(int(shorter), crop, source)


def _of_convnext(shorter: object, crop: tuple[int, int] | None, share: float, source: str) -> dict[str, Any]:
    if not isinstance(shorter, int):
        raise no_such_geometry(source, "names no 'shortest_edge', which its processor needs")
    if crop not in (None, (shorter, shorter)):
        raise no_such_geometry(source, "crops pictures twice")
    if shorter >= _WARPED_FROM:
        return {"fit": "stretch", "input": (3, shorter, shorter)}
    return cropped(int(shorter / share), (shorter, shorter), source)


def _shorter_side(shorter: int, crop: tuple[int, int] | None, source: str) -> dict[str, Any]:
    if crop is None:
        raise no_such_geometry(
            source,
            f"resizes the shorter side to {shorter} and crops nothing, so that its pictures have many sizes",
            f"Where the model takes squares, add what it was given, such as --input 3x{shorter}x{shorter} --fit crop "
            f"--resize {shorter}, and state the rest by options.",
        )
    return cropped(shorter, crop, source)


def _both_sides(size: Mapping[str, Any], crop: tuple[int, int] | None, source: str) -> dict[str, Any]:
    if not {"height", "width"} <= set(size):
        raise no_such_geometry(source, f"resizes pictures to {' and '.join(sorted(map(str, size))) or 'nothing'}")
    sides = require_sides([size["height"], size["width"]], "size", source)
    if crop not in (None, sides):
        raise no_such_geometry(
            source,
            f"stretches pictures to {sides[0]} x {sides[1]} and crops {crop[0]} x {crop[1]} out of that"
            if crop
            else "crops pictures",
        )
    return {"fit": "stretch", "input": (3, *sides)}


def _size(stated: Mapping[str, Any], source: str) -> dict[str, Any]:
    size = stated["size"]
    if isinstance(size, int) and not isinstance(size, bool) and not stated.get("default_to_square", True):
        return {"shortest_edge": size}
    if isinstance(size, dict):
        known = {key: value for key, value in size.items() if value is not None}
        if "shortest_edge" in known and len(known) > 1:
            raise no_such_geometry(source, "limits the longer side as well as the shorter one")
        return known
    height, width = require_sides(size, "size", source)
    return {"height": height, "width": width}


def _crop_size(stated: Mapping[str, Any], source: str) -> tuple[int, int]:
    size = _required(stated, "crop_size", "do_center_crop", source)
    if isinstance(size, dict):
        if not {"height", "width"} <= set(size):
            size = {"height": size.get("shortest_edge"), "width": size.get("shortest_edge")}
        size = [size["height"], size["width"]]
    return require_sides(size, "crop_size", source)


def _normalisation(stated: Mapping[str, Any], source: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std, in units of 0 to 1, of all that is done to the numbers, as one step.

    Of a pixel p the processor makes (p * factor - offset - mean) / std; EfficientNet's divides by std once more.
    """
    factor = float(stated["rescale_factor"]) if stated["do_rescale"] else 1.0
    offset = 1.0 if stated["do_rescale"] and stated.get("rescale_offset") else 0.0
    mean, std = [0.0] * 3, [1.0] * 3
    given = [mean, std]
    for cause in ("do_normalize", "include_top"):
        if stated.get(cause):
            given = [_three(_required(stated, key, cause, source)) for key in ("image_mean", "image_std")]
    if stated["do_normalize"]:
        mean, std = given
    if stated.get("include_top"):
        std = [first * second for first, second in zip(std, given[1], strict=True)]
    unit = 255 * factor
    return tuple((offset + value) / unit for value in mean), tuple(value / unit for value in std)


def _required(stated: Mapping[str, Any], name: str, cause: str, source: str) -> Any:  # noqa: ANN401 - JSON
    if name not in stated:
        raise UsageError(
            f"{source} states {cause} but no '{name}', for which its processor has no default.",
            "Give the file as it was published with the model, or state the preprocessing by options.",
        )
    return stated[name]


def _three(value: object) -> list[float]:
    numbers = [value] if isinstance(value, int | float) else value
    if not isinstance(numbers, list | tuple) or len(numbers) not in (1, 3):
        raise ValueError(f"image_mean or image_std is {value!r}, not 3 numbers")
    return [float(number) for number in (numbers if len(numbers) == 3 else list(numbers) * 3)]  # noqa: PLR2004


def _filter(stated: Mapping[str, Any], source: str) -> dict[str, Any]:
    number = stated["resample"]
    if number not in _FILTERS:
        name = _OTHER_FILTERS.get(number, repr(number)) if isinstance(number, int) else repr(number)
        raise no_such_geometry(source, f"resizes with the filter {name}")
    return {"resize_filter": _FILTERS[number]}


def _find_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in FILES:
        if (path / name).is_file():
            return path / name
    raise UsageError(
        f"The folder {showable(str(path))} holds no preprocessor_config.json.",
        "Give the folder that a model was saved to or downloaded into, or a JSON file.",
    )


def _read(file: Path) -> dict[str, Any]:
    shown = showable(str(file))
    try:
        with file.open("rb") as opened:
            config = json.loads(opened.read(_MOST_BYTES))
    except OSError as error:
        raise UsageError(
            f"{shown} cannot be read: {error.strerror}.",
            "Give an existing preprocessor_config.json, torchvision:WEIGHTS or timm:NAME.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{shown} is not a JSON file.", "Give a preprocessor_config.json.") from error
    if not isinstance(config, dict):
        raise UsageError(f"{shown} is not the configuration of an image processor.", "Give a preprocessor_config.json.")
    return config
