"""A spec as a person states it: a TOML file, options, and the source of a preprocessing. Free of PyTorch."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from torchstone_export.foreign.model_spec import (
    EXAMPLE,
    FIELDS,
    ChannelOrder,
    Dtype,
    Layout,
    ModelSpec,
    OutputKind,
    PixelRange,
)
from torchstone_export.foreign.spec_overlay import describe_source, lay_over, still_meant
from torchstone_export.foreign.spec_values import (
    classes_of,
    flag_of,
    numbers_of,
    optional_text,
    require_choice,
    shape_of,
    threshold_of,
    whole_of,
)
from torchstone_export.preprocessing.stated_source import read_preprocessing, recognised
from torchstone_runtime.errors import UsageError, suggestion
from torchstone_runtime.images.input_spec import MAX_SIDE, Decoding, Fit, ResampleFilter

_MAX_SPEC_BYTES: Final = 16 << 20
_CHANNELS: Final = {"L": 1, "RGB": 3, "BGR": 3}
_CHOICES: Final = {
    "color": ChannelOrder,
    "resize_filter": ResampleFilter,
    "fit": Fit,
    "decode": Decoding,
    "output": OutputKind,
    "pixel_range": PixelRange,
    "layout": Layout,
    "dtype": Dtype,
}


def read_spec(
    path: Path | None,
    options: Mapping[str, Any],
    *,
    model: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> ModelSpec:
    """Read a TOML file and options of the command line; an option replaces the file's field, and what hangs on it.

    Both replace the fields of the source that `preprocess` names, or of the model's own metadata.

    Args:
        path: path of the TOML file; None: options only.
        options: values of the options, as text or numbers, by field of `ModelSpec`, and `preprocess`; None: not given.
        model: path of the ONNX file that the spec is of; None: that of a module.
        tell: function that is called with a sentence on what a source says, and on each field of it that is replaced.

    Raises:
        UsageError: a field is missing, unknown, of another type, out of range, or contradicts another.
        MissingComponentError: the package that a source needs is not installed.
    """
    values = {} if path is None else _read_toml(path)
    folder = Path() if path is None or options.get("preprocess") is not None else path.parent
    if isinstance(values.get("classes"), str) and path is not None:
        values["classes"] = classes_of(values["classes"], path.parent)
    given = {name: value for name, value in options.items() if value is not None}
    values = still_meant(values, given) | given
    source = optional_text("preprocess", values.pop("preprocess", None))
    if unknown := [name for name in values if name not in FIELDS]:
        raise UsageError(f"The spec has a field '{unknown[0]}'.", suggestion(unknown[0], [*FIELDS, "preprocess"]))
    preprocessing = None
    if source is not None:
        preprocessing = read_preprocessing(source, folder, model)
    elif model is not None:
        preprocessing = recognised(model)
    if preprocessing is None:
        return _spec_of(values)
    spec = _spec_of(lay_over(preprocessing.fields, values))
    for line in describe_source(preprocessing, spec, values):
        tell(line)
    return spec


def _spec_of(values: dict[str, Any]) -> ModelSpec:
    if "input" not in values:
        raise UsageError("The spec lacks 'input': the shape of one image.", EXAMPLE)
    shape = shape_of(values["input"])
    values["color"] = values.get("color") or ("L" if shape[0] == 1 else "RGB")
    _fill_in_normalisation(values, shape[0])
    for name, choice in _CHOICES.items():
        require_choice(name, values.get(name), get_args(choice))
    if values["color"] in _CHANNELS and _CHANNELS[values["color"]] != shape[0]:
        raise UsageError(
            f"The spec contradicts itself: color {values['color']} has {_CHANNELS[values['color']]} channels, "
            f"but input has {shape[0]}."
        )
    spec = ModelSpec(
        **values
        | {
            "input": shape,
            "mean": numbers_of("mean", values["mean"], shape[0]),
            "std": numbers_of("std", values["std"], shape[0]),
            **_geometry(values, shape),
            "classes": None if values.get("classes") is None else classes_of(values["classes"], Path()),
            "output_stated": values.get("output") is not None,
            "positive_threshold": threshold_of(values.get("positive_threshold")),
            "output_name": optional_text("output_name", values.get("output_name")),
            "name": optional_text("name", values.get("name")),
        }
    )
    spec.input_spec()
    return spec


def _geometry(values: Mapping[str, Any], shape: tuple[int, int, int]) -> dict[str, Any]:
    fit = values.get("fit")
    resize = whole_of("resize", values.get("resize"), 1, MAX_SIDE)
    fill = whole_of("fill", values.get("fill"), 0, 255)
    if resize is not None and fit != "crop":
        raise UsageError(
            f"resize ({resize}) is of the shorter side before a centre crop, but fit is {fit or 'not stated'}.",
            "Add --fit crop, or leave --resize out.",
        )
    if fill is not None and fit != "pad":
        raise UsageError(
            f"fill ({fill}) is the level around a picture that is fitted in, but fit is {fit or 'not stated'}.",
            "Add --fit pad, or leave --fill out.",
        )
    if resize is not None and resize < max(shape[1:]):
        raise UsageError(
            f"The crop of {shape[1]} x {shape[2]} is larger than the picture it is taken from: resize is {resize}.",
            f"Give --resize {max(shape[1:])} or more, or a smaller --input.",
        )
    return {
        "resize": resize,
        "fill": fill or 0,
        "antialias": flag_of("antialias", values.get("antialias"), default=True),
    }


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SPEC_BYTES)
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The spec {path} cannot be read: {error.strerror}.", "Give an existing TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The spec {path} is not valid TOML: {error}.", EXAMPLE) from error


def _fill_in_normalisation(values: dict[str, Any], channels: int) -> None:
    if values.get("dtype") == "uint8":
        if "mean" in values or "std" in values or values.get("pixel_range", "0-255") != "0-255":
            raise UsageError(
                "The spec contradicts itself: a model that takes uint8 normalises its input itself.",
                'Leave mean, std and pixel_range out, or state dtype = "float32".',
            )
        # The pixel itself: (pixel / 255 - 0) / (1 / 255).
        values |= {"mean": [0.0] * channels, "std": [1.0] * channels, "pixel_range": "0-255"}
    if missing := [name for name in ("mean", "std") if name not in values]:
        # No default: a wrong normalisation gives plausible, worse answers and no error.
        raise UsageError(
            f"The spec lacks {' and '.join(missing)}: how the pixels are normalised before the model.",
            "Where they are not, say so: mean 0 and std 1 for every channel. An ONNX file that takes uint8 needs "
            f'dtype = "uint8" alone. {EXAMPLE}',
        )
