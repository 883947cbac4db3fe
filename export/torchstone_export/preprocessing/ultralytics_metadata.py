"""The preprocessing of ultralytics' classifiers, from the metadata that its exporter leaves in an ONNX file."""

import ast
import json
from pathlib import Path
from typing import Any, Final

from torchstone_export.preprocessing.preprocessing import Preprocessing, require_sides
from torchstone_runtime.errors import UsageError
from torchstone_runtime.text import is_showable, showable

_KEYS: Final = frozenset({"task", "names", "imgsz"})
_MOST_CHARACTERS: Final = 1 << 22


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of an ONNX file; nothing where it can't be read, which reading its graph will tell of."""
    import onnx  # noqa: PLC0415 - only an ONNX file needs it

    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception:  # noqa: BLE001 - protobuf's own class, which onnx does not export
        return {}
    return {item.key: item.value for item in model.metadata_props}


def is_ultralytics(metadata: dict[str, str]) -> bool:
    """Tell whether ultralytics' exporter wrote it."""
    return set(metadata) >= _KEYS


def from_ultralytics(metadata: dict[str, str], path: Path) -> Preprocessing:
    """Read the preprocessing, the class names and the kind of the output.

    Its classifiers are given RGB pixels from 0 to 1: of a square input the picture's shorter side is resized to it
    (bilinear) and the centre taken, any other the picture is stretched to. Their output is a softmax.

    Raises:
        UsageError: the metadata is not that of a classifier, or damaged.
    """
    source = showable(str(path))
    if not is_ultralytics(metadata):
        raise UsageError(
            f"The metadata of {source} states no preprocessing: it has no task, names and imgsz, as ultralytics' has.",
            "State it from elsewhere: --preprocess torchvision:WEIGHTS, timm:NAME or a preprocessor_config.json, or by "
            "options.",
        )
    if metadata["task"] != "classify":
        raise UsageError(
            f"{source} is a model for the task '{showable(metadata['task'])}', as its metadata says; a bundle holds a "
            "classifier."
        )
    height, width = require_sides(_literal(metadata, "imgsz", source), "imgsz", source)
    channels = int(metadata.get("channels", "3")) if metadata.get("channels", "3").isdecimal() else 3
    square = height == width
    fields: dict[str, Any] = {
        "input": (channels, height, width),
        "color": "RGB" if channels == 3 else "L",  # noqa: PLR2004 - red, green, blue
        "mean": (0.0,) * channels,
        "std": (1.0,) * channels,
        "pixel_range": "0-1",
        "resize_filter": "bilinear",
        "fit": "crop" if square else "stretch",
        "output": "probabilities",
        "classes": _names(metadata, source),
        **({"resize": height} if square else {}),
    }
    return Preprocessing(f"the metadata of {source} (ultralytics)", fields)


def _names(metadata: dict[str, str], source: str) -> tuple[str, ...]:
    names = _literal(metadata, "names", source)
    numbered = dict(enumerate(names)) if isinstance(names, list | tuple) else names
    if not isinstance(numbered, dict):
        raise _damaged("names", source)
    by_index = {str(index): name for index, name in numbered.items()}
    listed = [by_index.get(str(index)) for index in range(len(by_index))]
    if not all(isinstance(name, str) and name and is_showable(name) for name in listed):
        raise _damaged("names", source)
    return tuple(str(name) for name in listed)


def _literal(metadata: dict[str, str], key: str, source: str) -> Any:  # noqa: ANN401 - whatever was written there
    text = metadata[key]
    if len(text) > _MOST_CHARACTERS:
        raise _damaged(key, source)
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise _damaged(key, source)


def _damaged(key: str, source: str) -> UsageError:
    return UsageError(
        f"The metadata of {source} has a '{key}' that can't be read.",
        "State input, fit, mean, std and classes by options.",
    )
