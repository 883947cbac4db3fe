"""The message where a bundle, a run, an ONNX file or labelled data was wanted, and something else was given."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from torchstone_runtime.images.image_formats import is_picture
from torchstone_runtime.path_kinds.advice import advise, describe, of_what
from torchstone_runtime.path_kinds.identify import IdentifiedPath, identify, is_bundle, is_run
from torchstone_runtime.path_kinds.kind import Kind
from torchstone_runtime.path_kinds.nearest import listed, meant

Message = tuple[str, str]
"""What happened, and what to type."""

_ADDRESS: Final = re.compile(r"(https?|ftp|s3|gs|hf):/{1,2}", re.IGNORECASE)
"""A `Path` has taken one of the two slashes away."""
_FILES: Final = frozenset(
    {Kind.ONNX, Kind.TORCHSCRIPT, Kind.CHECKPOINT, Kind.SAFETENSORS, Kind.NPZ, Kind.JSON, Kind.TEXT, Kind.FILE}
)
"""Kinds of files that bundles and runs consist of."""
_FOR_RUN: Final[Mapping[Kind, str]] = {
    Kind.BUNDLE: "It has been exported already. Give the run that it was made from, or use the bundle: "
    "torchstone evaluate {path} --data DATASET",
    Kind.BUILTIN_BUNDLE: "It has been exported already, and its run is not here. Use the bundle: "
    "torchstone evaluate {path} --data DATASET",
    Kind.BUNDLES: "Give the directory of a run, such as runs/cnn3-1.",
    Kind.PARTIAL_BUNDLE: "Give the directory of a run, such as runs/cnn3-1.",
    Kind.RUNS: "Give one of its runs: {inside}",
    Kind.RUN_INFO: "Give the directory that it lies in: {parent}",
    Kind.CLASS_FOLDERS: "Train on it first: torchstone train finetune --data folder:{path}",
    Kind.PICTURES: "Sort the pictures into one sub-folder per class, then train on them: "
    "torchstone train finetune --backbone resnet18 --data folder:{path}",
    Kind.EMPTY_FOLDER: "Give a directory that train wrote.",
}
_FOR_ONNX: Final[Mapping[Kind, str]] = {
    Kind.BUNDLE: "It needs no adopting: torchstone evaluate {path} --data DATASET",
    Kind.BUILTIN_BUNDLE: "It needs no adopting: torchstone evaluate {path} --data DATASET",
    Kind.RUN: "Export it instead: torchstone export {path}",
    Kind.EMPTY_FOLDER: "Give an ONNX file.",
}
_SOME_PICTURES: Final = "Give image files or a folder with some."
_FOR_PICTURES: Final[Mapping[Kind, str]] = {
    Kind.BUNDLE: "Give image files or a folder with some: torchstone predict {path} PICTURES",
}
_FOR_DATA: Final[Mapping[Kind, str]] = {
    Kind.BUNDLE: "Give labelled images: a folder with one sub-folder per class, or an npz file.",
    Kind.RUN: "Give labelled images: a folder with one sub-folder per class, or an npz file.",
    Kind.CLASS_FOLDERS: "To read it, write folder:{path}",
    Kind.NPZ: "To read it, write npz:{path}",
    Kind.PICTURES: "Sort the pictures into one sub-folder per class, then give folder:{path}; or classify them without "
    "labels: torchstone predict BUNDLE {path}",
    Kind.PICTURE: "Give a folder with one sub-folder per class. To classify it: torchstone predict BUNDLE {path}",
    Kind.EMPTY_FOLDER: "Give a folder with one sub-folder per class, with pictures inside.",
    Kind.NPY: "Save images and labels in one npz file: numpy.savez(FILE, images=..., labels=...)",
    Kind.CSV: "Give a folder with one sub-folder per class, or an npz file.",
    Kind.EMPTY_FILE: "Give a folder with one sub-folder per class, or an npz file.",
}


def not_a_bundle(path: Path, builtin: Iterable[str]) -> Message:
    """Return the message for a path that was given for a bundle.

    Args:
        path: the path.
        builtin: names of the built-in bundles.
    """
    names = list(builtin)
    if (address := _address(path)) is not None:
        return address, "Download it first, or give a bundle of the Hugging Face Hub: hf://OWNER/NAME"
    found = identify(path)
    if found.kind is Kind.MISSING:
        places = listed((Path(), Path("bundles"), Path("quickstart")), is_bundle)
        known = f"Give a directory that export wrote{f', such as {places}' if places else ''}, or the name of a "
        known += f"built-in bundle: {', '.join(names)}."
        return _missing("bundle", path, meant(path, is_bundle, names), known)
    owner = of_what(path) if found.kind in _FILES else None
    otherwise = f"Give a directory that export wrote, or the name of a built-in bundle: {', '.join(names)}."
    return _other("a bundle", found), owner or advise(found, {}, otherwise)


def not_a_run(path: Path, builtin: Iterable[str]) -> Message:
    """Return the message for a path that was given for the directory of a training run.

    Args:
        path: the path.
        builtin: names of the built-in bundles.
    """
    if (address := _address(path)) is not None:
        return address, "Give a directory that train wrote."
    found = _identify(path, builtin)
    otherwise = "Give a directory that train wrote."
    if found.kind is Kind.MISSING:
        places = listed((Path(), Path("runs")), is_run)
        known = f"Give a directory that train wrote, such as {places}." if places else otherwise
        return _missing("run", path, meant(path, is_run), known)
    problem = f"There is no run at {path}: this is {describe(found)}, and has no run.json."
    return problem, (of_what(path) if found.kind in _FILES else None) or advise(found, _FOR_RUN, otherwise)


def not_an_onnx_file(path: Path, builtin: Iterable[str] = ()) -> Message | None:
    """Return the message for a path that was given for an ONNX file; None where it seems to be one.

    Args:
        path: the path.
        builtin: names of the built-in bundles, where one may have been meant.
    """
    if (address := _address(path)) is not None:
        return address, "Download the file first, then give its path."
    found = _identify(path, builtin)
    if found.kind in (Kind.ONNX, Kind.FILE):
        return None
    if found.kind is Kind.MISSING:
        near = meant(path, lambda other: other.suffix == ".onnx")
        return f"{path} does not exist.", near or "Give an existing ONNX file."
    problem = f"{path} is not an ONNX file: it is {describe(found)}."
    return problem, advise(found, _FOR_ONNX, "Give an ONNX file, such as torch.onnx.export writes.")


def not_pictures(path: Path) -> Message | None:
    """Return the message for a folder without pictures that was given to be classified; None for a plain one."""
    found = identify(path)
    if found.kind in (Kind.FOLDER, Kind.EMPTY_FOLDER, Kind.MISSING, Kind.UNREADABLE, Kind.PICTURES, Kind.CLASS_FOLDERS):
        return None
    otherwise = _SOME_PICTURES
    return f"{path} holds no image files: it is {describe(found)}.", advise(found, _FOR_PICTURES, otherwise)


def missing_pictures(path: Path) -> str:
    """Return what to type, where pictures were named and nothing lies there."""
    return meant(path, lambda other: other.is_dir() or is_picture(str(other))) or _SOME_PICTURES


def not_a_dataset(text: str) -> Message | None:
    """Return the message for a dataset's name that is a path or an address; None where it is neither."""
    path = Path(text)
    if (address := _address(text)) is not None:
        return address, "Download and unpack it first, then write folder:PATH or npz:FILE."
    found = identify(path)
    if found.kind is Kind.MISSING:
        return None
    suitable = "folder" if path.is_dir() else "npz"
    return _other("a dataset's name", found), advise(found, _FOR_DATA, f"To read that path, write {suitable}:{text}")


def not_a_data_folder(path: Path) -> str:
    """Return what to type, where a path was given for a folder of labelled pictures and is none; empty for the rest."""
    found = identify(path)
    if found.kind is Kind.MISSING:
        return meant(path, Path.is_dir)
    if found.kind in (Kind.FOLDER, Kind.CLASS_FOLDERS, Kind.TEXT, Kind.FILE):
        return ""
    advice = advise(found, _FOR_DATA, "")
    return advice if found.kind is Kind.PICTURES else f"It is {describe(found)}. {advice}".rstrip()


def not_an_npz_file(path: Path) -> str:
    """Return what to type, where a path was given for an npz file and is none; empty where nothing is known of it."""
    found = identify(path)
    if found.kind is Kind.MISSING:
        return meant(path, lambda other: other.suffix == ".npz")
    if found.kind in (Kind.NPZ, Kind.FILE):
        return ""
    return f"It is {describe(found)}. {advise(found, _FOR_DATA, '')}".rstrip()


def _identify(path: Path, builtin: Iterable[str]) -> IdentifiedPath:
    found = identify(path)
    return IdentifiedPath(path, Kind.BUILTIN_BUNDLE) if found.kind is Kind.MISSING and str(path) in builtin else found


def _other(wanted: str, found: IdentifiedPath) -> str:
    return f"{found.path} is not {wanted}: it is {describe(found)}."


def _address(path: str | Path) -> str | None:
    return f"{path} is a web address, which is not read." if _ADDRESS.match(str(path)) else None


def _missing(what: str, path: Path, near: str, known: str) -> Message:
    return f"There is no {what} at {path}: it does not exist.", "\n".join(line for line in (near, known) if line)
