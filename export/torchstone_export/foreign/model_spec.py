"""What a model of another origin takes and gives, as its owner states it. Free of PyTorch: `--help` stays quick."""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

from torchstone_runtime.errors import UsageError, suggestion
from torchstone_runtime.images.input_spec import InputSpec, ResampleFilter
from torchstone_runtime.text import is_showable

ChannelOrder = Literal["L", "RGB", "BGR"]
OutputKind = Literal["logits", "probabilities", "log-probabilities"]
PixelRange = Literal["0-1", "0-255"]
Layout = Literal["NCHW", "NHWC"]
Dtype = Literal["float32", "uint8"]

_MAX_SPEC_BYTES: Final = 16 << 20
_CHANNELS: Final = {"L": 1, "RGB": 3, "BGR": 3}
_CHOICES: Final = {
    "color": ChannelOrder,
    "resize_filter": ResampleFilter,
    "output": OutputKind,
    "pixel_range": PixelRange,
    "layout": Layout,
    "dtype": Dtype,
}
_EXAMPLE: Final = 'For example: input = "3x224x224", mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225].'


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A model's input and output.

    Attributes:
        input: channels, height and width of one image.
        mean: per channel, subtracted from the pixels; in the model's channel order and in units of `pixel_range`.
        std: per channel, what the difference is divided by; likewise.
        color: `L`, `RGB` or `BGR`: the channels in the order in which the model takes them.
        pixel_range: range of the pixels before mean and std: `0-1` (divided by 255, as torchvision has it) or `0-255`.
        resize_filter: Pillow's filter for pictures of another size, which are stretched.
        classes: names of the classes in the order of the outputs; None: those of the data.
        output: kind of the model's output. Probabilities are turned into logits by the logarithm.
        output_stated: whether the owner stated `output`; else it is the default, which a final sigmoid overrides.
        positive_threshold: probability above which a model of one output, which tells two classes apart, answers with
            the second class; None: 0.5.
        output_name: name of the class outputs where there are several outputs: an ONNX name, a dictionary's key, an
            attribute, or a position in a tuple.
        layout: order of the axes of an ONNX file's input; None: found out from its shape.
        dtype: data type of an ONNX file's input; None: the file's.
        name: name of the model; None: that of the factory or file.
    """

    input: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: ChannelOrder
    pixel_range: PixelRange = "0-1"
    resize_filter: ResampleFilter = "bilinear"
    classes: tuple[str, ...] | None = None
    output: OutputKind = "logits"
    output_stated: bool = False
    positive_threshold: float | None = None
    output_name: str | None = None
    layout: Layout | None = None
    dtype: Dtype | None = None
    name: str | None = None

    def input_spec(self) -> InputSpec:
        """Return what a caller has to know: RGB or L, mean and std in that order and in units of 0 to 1.

        Raises:
            UsageError: a number is out of range.
        """
        unit = 1.0 if self.pixel_range == "0-1" else 255.0
        order = -1 if self.color == "BGR" else 1
        try:
            return InputSpec(
                color="L" if self.color == "L" else "RGB",
                height=self.input[1],
                width=self.input[2],
                resample=self.resize_filter,
                mean=tuple(value / unit for value in self.mean)[::order],
                std=tuple(value / unit for value in self.std)[::order],
            )
        except ValueError as error:
            raise UsageError(f"The input specification is not valid: {error}.", _EXAMPLE) from error


FIELDS: Final = tuple(field.name for field in fields(ModelSpec) if field.name != "output_stated")
"""What a spec file may state."""


def read_spec(path: Path | None, options: Mapping[str, Any]) -> ModelSpec:
    """Read a TOML file and options of the command line; an option replaces the file's field.

    Args:
        path: path of the TOML file; None: options only.
        options: values of the options, as text or numbers, by field of `ModelSpec`; None: not given.

    Raises:
        UsageError: a field is missing, unknown, of another type, out of range, or contradicts another.
    """
    values = {} if path is None else _read_toml(path)
    if isinstance(values.get("classes"), str) and path is not None:
        values["classes"] = _classes(values["classes"], path.parent)
    values |= {name: value for name, value in options.items() if value is not None}
    if unknown := [name for name in values if name not in FIELDS]:
        raise UsageError(f"The spec has a field '{unknown[0]}'.", suggestion(unknown[0], FIELDS))
    if "input" not in values:
        raise UsageError("The spec lacks 'input': the shape of one image.", _EXAMPLE)
    shape = _shape(values["input"])
    values["color"] = values.get("color") or ("L" if shape[0] == 1 else "RGB")
    _fill_in_normalisation(values, shape[0])
    for name, choice in _CHOICES.items():
        _require_choice(name, values.get(name), get_args(choice))
    if values["color"] in _CHANNELS and _CHANNELS[values["color"]] != shape[0]:
        raise UsageError(
            f"The spec contradicts itself: color {values['color']} has {_CHANNELS[values['color']]} channels, "
            f"but input has {shape[0]}."
        )
    spec = ModelSpec(
        **values
        | {
            "input": shape,
            "mean": _numbers("mean", values["mean"], shape[0]),
            "std": _numbers("std", values["std"], shape[0]),
            "classes": None if values.get("classes") is None else _classes(values["classes"], Path()),
            "output_stated": values.get("output") is not None,
            "positive_threshold": _threshold(values.get("positive_threshold")),
            "output_name": _optional_text("output_name", values.get("output_name")),
            "name": _optional_text("name", values.get("name")),
        }
    )
    spec.input_spec()
    return spec


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_SPEC_BYTES)
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"The spec {path} cannot be read: {error.strerror}.", "Give an existing TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"The spec {path} is not valid TOML: {error}.", _EXAMPLE) from error


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
            f'dtype = "uint8" alone. {_EXAMPLE}',
        )


def _require_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise UsageError(f"The spec's '{name}' is {value!r}; expected one of: {', '.join(allowed)}.")


def _shape(value: object) -> tuple[int, int, int]:
    parts = value.lower().split("x") if isinstance(value, str) else value
    try:
        channels, height, width = (int(part) for part in cast("Sequence[Any]", parts))
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"The spec's 'input' is {value!r}; expected channels x height x width.", "For example 3x224x224."
        ) from error
    if channels not in (1, 3):
        raise UsageError(f"The spec's 'input' has {channels} channels; images have 1 (L) or 3 (RGB or BGR).")
    return channels, height, width


def _numbers(name: str, value: object, channels: int) -> tuple[float, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    parts = [parts] if isinstance(parts, int | float) else parts
    try:
        numbers = tuple(float(part) for part in cast("Sequence[Any]", parts))
    except (TypeError, ValueError) as error:
        raise UsageError(f"The spec's '{name}' is {value!r}; expected {channels} numbers.", _EXAMPLE) from error
    if len(numbers) != channels:
        raise UsageError(
            f"The spec's '{name}' has {len(numbers)} values, but input has {channels} channels.", "One a channel."
        )
    if not all(map(math.isfinite, numbers)) or (name == "std" and min(numbers) <= 0):
        raise UsageError(f"The spec's '{name}' is {value!r}: every value must be finite, and std greater than 0.")
    return numbers


def _classes(value: object, folder: Path) -> tuple[str, ...]:
    if isinstance(value, str) and value.startswith("@"):
        value = _read_lines(folder / value[1:])
    elif isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
        raise UsageError(f"The spec's 'classes' is {value!r}; expected names, or @FILE with one name a line.")
    names = tuple(value)
    if len(names) < 2:  # noqa: PLR2004 - what a classifier tells apart
        raise UsageError("The spec's 'classes' needs at least two names.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"The spec's 'classes' has '{twice[0]}' twice.")
    if odd := [name for name in names if not name or not is_showable(name)]:
        raise UsageError(f"The spec's 'classes' has {odd[0]!r}: empty, or with control characters.")
    return names


def _read_lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The classes cannot be read from {path}: {error}.", "One name a line, UTF-8.") from error


def _threshold(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise UsageError(
            f"The spec's 'positive_threshold' is {value!r}; expected a number between 0 and 1.", "Or none: 0.5."
        )
    return float(value)


def _optional_text(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = str(value)
    if isinstance(value, bool | list | dict) or not text or not is_showable(text):
        raise UsageError(f"The spec's '{name}' is {value!r}; expected text without control characters.")
    return text
