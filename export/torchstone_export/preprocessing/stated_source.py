"""`--preprocess`: which source a person means."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from torchstone_export.preprocessing.preprocessing import Preprocessing
from torchstone_runtime.errors import UsageError, suggestion
from torchstone_runtime.text import showable

FORMS: Final = "torchvision:WEIGHTS, timm:NAME, or a preprocessor_config.json"
_ONNX: Final = "onnx"


def read_preprocessing(text: str, folder: Path, model: Path | None = None) -> Preprocessing:
    """Read a preprocessing from where it stands.

    Args:
        text: `torchvision:WEIGHTS`, `timm:NAME`, `onnx`, or the path of a JSON file or of a folder that holds one.
        folder: folder that a path is relative to.
        model: path of the ONNX file that is adopted; None where a module is exported.

    Raises:
        UsageError: no such source, or one that a bundle can't express.
        MissingComponentError: the package that it needs is not installed.
    """
    kind, colon, name = text.partition(":")
    if colon and kind in _BY_NAME and name:
        return _BY_NAME[kind](name)
    if text == _ONNX:
        return _from_model(model)
    path = (folder / text).expanduser()
    if path.exists() or text.endswith(".json"):
        from torchstone_export.preprocessing.hugging_face import from_hugging_face  # noqa: PLC0415 - rarely wanted

        return from_hugging_face(path)
    hint = suggestion(kind, (*_BY_NAME, _ONNX)) if colon else ""
    remedy = f"Give {FORMS}{', or onnx' if model is not None else ''}."
    raise UsageError(
        f"'{showable(text)}' is not a preprocessing source, and no file or folder of that name exists.",
        f"{hint} {remedy}".strip() if hint.startswith("Did") else remedy,
    )


def recognised(model: Path) -> Preprocessing | None:
    """Return what an ONNX file's own metadata states; None where it states nothing that is known here.

    Raises:
        UsageError: it states a model that is not a classifier.
    """
    from torchstone_export.preprocessing.ultralytics_metadata import (  # noqa: PLC0415 - needs onnx
        from_ultralytics,
        is_ultralytics,
        read_metadata,
    )

    metadata = read_metadata(model)
    return from_ultralytics(metadata, model) if is_ultralytics(metadata) else None


def _from_model(model: Path | None) -> Preprocessing:
    if model is None:
        raise UsageError("--preprocess onnx reads an ONNX file, but a module is exported.", f"Give {FORMS}.")
    from torchstone_export.preprocessing.ultralytics_metadata import (  # noqa: PLC0415 - needs onnx
        from_ultralytics,
        read_metadata,
    )

    return from_ultralytics(read_metadata(model), model)


def _torchvision(name: str) -> Preprocessing:
    from torchstone_export.preprocessing.torchvision_weights import from_torchvision  # noqa: PLC0415 - loads PyTorch

    return from_torchvision(name)


def _timm(name: str) -> Preprocessing:
    from torchstone_export.preprocessing.timm_config import from_timm  # noqa: PLC0415 - loads PyTorch

    return from_timm(name)


_BY_NAME: Final[dict[str, Callable[[str], Preprocessing]]] = {"torchvision": _torchvision, "timm": _timm}
