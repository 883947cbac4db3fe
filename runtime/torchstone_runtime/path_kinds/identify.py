"""What a path is, whatever lies there: the one place that recognises it, for every command."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from torchstone_runtime.images.image_formats import is_picture
from torchstone_runtime.path_kinds.file_kinds import kind_of_file
from torchstone_runtime.path_kinds.kind import Kind

MANIFEST_FILE: Final = "manifest.json"
RUN_FILE: Final = "run.json"

_MOST_ENTRIES: Final = 2000
_MOST_INSIDE: Final = 50
"""A folder may hold a million files: so many of its entries, and of each sub-folder's, are looked at."""
_OF_A_RUN: Final = frozenset({"history.jsonl", "best.safetensors"})
_OF_A_BUNDLE: Final = re.compile(r"golden(\.\w+)?\.npz|certificate\.json|validation\.npz|model(\.\w+)?\.onnx")
_HUGGING_FACE: Final = frozenset({"preprocessor_config.json", "config.json"})
_WEIGHTS: Final = (".safetensors", ".bin", ".h5", ".onnx", ".msgpack")
_PYTORCH: Final = (".pt", ".pth", ".ckpt", ".pt2", ".bin", ".safetensors")


@dataclass(frozen=True, slots=True)
class IdentifiedPath:
    """What lies at a path.

    Attributes:
        path: the path as it was given.
        kind: kind of the thing that lies there.
        inside: names of the entries that told the kind: bundles of a folder of bundles, the ONNX file of a folder.
    """

    path: Path
    kind: Kind
    inside: tuple[str, ...] = ()


def identify(path: str | os.PathLike[str]) -> IdentifiedPath:
    """Return what lies at a path, or where a link leads; reads a few kilobytes, raises nothing."""
    place = Path(path)
    try:
        if place.is_dir():
            return _identify_folder(place)
        return IdentifiedPath(place, kind_of_file(place) if place.exists() else Kind.MISSING)
    except (OSError, ValueError):  # no permission; a name with a zero byte
        return IdentifiedPath(place, Kind.UNREADABLE)


def is_bundle(folder: Path) -> bool:
    """Return whether a folder has a bundle's manifest."""
    return (folder / MANIFEST_FILE).is_file()


def is_run(folder: Path) -> bool:
    """Return whether a folder has a run's `run.json`, or what a training leaves beside it."""
    return (folder / RUN_FILE).is_file() or all((folder / name).is_file() for name in _OF_A_RUN)


def _identify_folder(folder: Path) -> IdentifiedPath:
    with os.scandir(folder) as entries:
        listed = sorted(
            (entry for entry in islice(entries, _MOST_ENTRIES) if not entry.name.startswith(".")),
            key=lambda entry: entry.name,
        )
    names = [entry.name for entry in listed]
    if not names:
        return IdentifiedPath(folder, Kind.EMPTY_FOLDER)
    if is_bundle(folder):
        return IdentifiedPath(folder, Kind.BUNDLE)
    if is_run(folder):
        return IdentifiedPath(folder, Kind.RUN)
    return (
        _foreign_folder(folder, names)
        or _collection(folder, [entry.name for entry in listed if entry.is_dir()])
        or _picture_folder(folder, listed)
        or _model_folder(folder, names)
        or IdentifiedPath(folder, Kind.FOLDER)
    )


def _foreign_folder(folder: Path, names: list[str]) -> IdentifiedPath | None:
    if "saved_model.pb" in names:
        return IdentifiedPath(folder, Kind.SAVED_MODEL)
    if folder.suffix.lower() == ".mlpackage":
        return IdentifiedPath(folder, Kind.CORE_ML_PACKAGE)
    if "preprocessor_config.json" in names or (_HUGGING_FACE & set(names) and _ending(names, _WEIGHTS)):
        onnx = _ending(names, (".onnx",)) or tuple(f"onnx/{name}" for name in _onnx_files(folder / "onnx"))
        return IdentifiedPath(folder, Kind.HUGGING_FACE, onnx)
    ours = tuple(name for name in names if _OF_A_BUNDLE.fullmatch(name))
    # `model.onnx` alone may come from anywhere.
    return IdentifiedPath(folder, Kind.PARTIAL_BUNDLE, ours) if len(ours) > 1 else None


def _onnx_files(folder: Path) -> tuple[str, ...]:
    return _ending(sorted(os.listdir(folder)), (".onnx",)) if folder.is_dir() else ()  # noqa: PTH208 - names


def _ending(names: list[str], suffixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name.lower().endswith(suffixes))


def _collection(folder: Path, folders: list[str]) -> IdentifiedPath | None:
    tests: tuple[tuple[Kind, Callable[[Path], bool]], ...] = ((Kind.BUNDLES, is_bundle), (Kind.RUNS, is_run))
    for kind, test in tests:
        if inside := tuple(name for name in folders if test(folder / name)):
            return IdentifiedPath(folder, kind, inside)
    return None


def _picture_folder(folder: Path, listed: list["os.DirEntry[str]"]) -> IdentifiedPath | None:
    folders = [entry.name for entry in listed if entry.is_dir()]
    if any(entry.is_file() and is_picture(entry.path) for entry in listed[:_MOST_INSIDE]):
        return IdentifiedPath(folder, Kind.PICTURES)
    with_pictures = tuple(name for name in folders[:_MOST_INSIDE] if any(_pictures(folder / name, deep=2)))
    return IdentifiedPath(folder, Kind.CLASS_FOLDERS, with_pictures) if with_pictures else None


def _pictures(folder: Path, *, deep: int) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            listed = list(islice(entries, _MOST_INSIDE))
    except OSError:
        return
    for entry in listed:
        if entry.is_file() and is_picture(entry.path):
            yield entry.path
        elif deep and entry.is_dir(follow_symlinks=False):
            yield from _pictures(Path(entry.path), deep=deep - 1)


def _model_folder(folder: Path, names: list[str]) -> IdentifiedPath | None:
    for kind, suffixes in ((Kind.ONNX_FOLDER, (".onnx",)), (Kind.CHECKPOINTS, _PYTORCH)):
        if inside := _ending(names, suffixes):
            return IdentifiedPath(folder, kind, inside)
    return None
