"""What to type, where a path is something else than a command needs."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torchstone_runtime.path_kinds.identify import IdentifiedPath, is_bundle, is_run
from torchstone_runtime.path_kinds.kind import Kind
from torchstone_runtime.text import shortlist

_SHOWN: Final = 5
_DATA: Final = "--data folder:PHOTOS"

_EXPORT_MODULE: Final = (
    f"torchstone export --module PACKAGE.MODULE:FACTORY --weights {{path}} --preprocess SOURCE {_DATA}"
)
_KERAS_TO_ONNX: Final = (
    "Convert it to ONNX first, such as with tf2onnx (python -m tf2onnx.convert {option} {path} --output model.onnx), "
    f"then: torchstone adopt model.onnx {_DATA}"
)
_WITH_BUNDLE: Final = "Name the bundle first: torchstone predict BUNDLE {path}"

_COMMON: Final[Mapping[Kind, str]] = {
    Kind.UNREADABLE: "Check its permissions.",
    Kind.SPECIAL: "Give a regular file or a directory.",
    Kind.BUNDLE: "To measure it: torchstone evaluate {path} --data DATASET",
    Kind.PARTIAL_BUNDLE: "Its export, copy or download was perhaps interrupted: copy the whole folder again.",
    Kind.BUNDLES: "Give one of its bundles: {inside}",
    Kind.RUN: "Export it first: torchstone export {path}",
    Kind.RUNS: "Export one of its runs first, such as: torchstone export {first}",
    Kind.CLASS_FOLDERS: "To measure a bundle on it: torchstone evaluate BUNDLE --data folder:{path}\n"
    "To train on it: torchstone train finetune --data folder:{path}",
    Kind.PICTURES: _WITH_BUNDLE,
    Kind.PICTURE: _WITH_BUNDLE,
    Kind.HUGGING_FACE: "Export it to ONNX first (optimum-cli export onnx --model {path} OUT), then: "
    f"torchstone adopt OUT/model.onnx --preprocess {{path}} {_DATA}",
    Kind.SAVED_MODEL: _KERAS_TO_ONNX.replace("{option}", "--saved-model"),
    Kind.KERAS: 'Convert it to ONNX first, in Python: keras.models.load_model({name!r}).export("model.onnx", '
    f'format="onnx"), then: torchstone adopt model.onnx {_DATA}',
    Kind.TFLITE: _KERAS_TO_ONNX.replace("{option}", "--tflite"),
    Kind.CORE_ML_PACKAGE: "Export the model that it was converted from.",
    Kind.CORE_ML: "Export the model that it was converted from.",
    Kind.OPENVINO: "Give the ONNX file or the network that it was converted from.",
    Kind.TENSORRT: "Give the ONNX file that it was built from; --provider tensorrt builds engines by itself.",
    Kind.ONNX_FOLDER: f"Adopt its model: torchstone adopt {{first}} {_DATA}",
    Kind.CHECKPOINTS: _EXPORT_MODULE.replace("{path}", "{first}"),
    Kind.EMPTY_FOLDER: "Check the path, or copy or export the bundle again.",
    Kind.MANIFEST: "Give the directory that it lies in: {parent}",
    Kind.RUN_INFO: "Export the run: torchstone export {parent}",
    Kind.ONNX: f"Wrap it into a bundle: torchstone adopt {{path}} {_DATA}",
    Kind.TORCHSCRIPT: "Export the network that it was made from: "
    + _EXPORT_MODULE.replace("--weights {path}", "--weights WEIGHTS"),
    Kind.EXPORTED_PROGRAM: "Export the network that it was made from: "
    + _EXPORT_MODULE.replace("--weights {path}", "--weights WEIGHTS"),
    Kind.CHECKPOINT: f"Export it with the code of its network: {_EXPORT_MODULE}",
    Kind.SAFETENSORS: f"Export it with the code of its network: {_EXPORT_MODULE}",
    Kind.PICKLE: "A pickle can run code when it is opened, so Torchstone opens none. Save the network's state dict, "
    f"then: {_EXPORT_MODULE.replace('{path}', 'WEIGHTS')}",
    Kind.NPZ: "If it holds labelled images, give it as data: --data npz:{path}",
    Kind.NPY: "To measure a bundle, save images and labels in one npz file: --data npz:FILE",
    Kind.ZIP: "Unpack it first: python -m zipfile -e {path} {stem}",
    Kind.TAR: "Unpack it first: tar -xf {path}",
    Kind.ARCHIVE: "Unpack it first.",
    Kind.LFS_POINTER: "Fetch the file itself, in the repository: git lfs pull",
    Kind.WEB_PAGE: "A download may have failed; fetch the file again.",
    Kind.EMPTY_FILE: "Its copy or download was perhaps interrupted; fetch it again.",
}


def describe(found: IdentifiedPath) -> str:
    """Return a sentence's end on what lies at a path: "the directory of a training run"."""
    if found.kind in (Kind.BUNDLES, Kind.RUNS, Kind.ONNX_FOLDER, Kind.CHECKPOINTS):
        return f"{found.kind.value} ({shortlist(found.inside, _SHOWN)})"
    return found.kind.value


def advise(found: IdentifiedPath, special: Mapping[Kind, str], otherwise: str) -> str:
    """Return what to do about a path that is something else than was needed.

    Args:
        found: path and kind of it.
        special: advice by kind that goes before the common one, with the same placeholders.
        otherwise: advice for what has none of its own.
    """
    if found.kind is Kind.HUGGING_FACE and found.inside and Kind.HUGGING_FACE not in special:
        return f"Adopt its ONNX file: torchstone adopt {{first}} --preprocess {{path}} {_DATA}".format(**_words(found))
    template = special.get(found.kind) or _COMMON.get(found.kind, otherwise)
    return template.format(**_words(found))


def of_what(path: Path) -> str | None:
    """Return advice where a file belongs to a bundle or a run that can be named instead; else None."""
    for folder in (path.parent, path.parent.parent):
        shown = shlex.quote(str(folder))
        if is_bundle(folder):
            return f"It belongs to a bundle. Give the bundle's directory: {shown}"
        if is_run(folder):
            return f"It belongs to a training run, which is exported as a whole: torchstone export {shown}"
    return None


def _words(found: IdentifiedPath) -> dict[str, str]:
    path = found.path
    inside = [shlex.quote(str(path / name)) for name in found.inside]
    return {
        "path": shlex.quote(str(path)),
        "name": path.name,
        "stem": shlex.quote(path.name.split(".")[0]),
        "parent": shlex.quote(str(path.parent)),
        "inside": shortlist(inside, _SHOWN),
        "first": inside[0] if inside else shlex.quote(str(path)),
    }
