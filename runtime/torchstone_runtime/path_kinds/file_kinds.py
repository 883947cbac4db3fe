"""What a file is, by its first bytes; by its name only where the bytes don't say."""

import os
import re
import stat
import zipfile
from pathlib import Path
from typing import Final

from torchstone_runtime.images.image_formats import format_of
from torchstone_runtime.path_kinds.kind import Kind

_HEAD: Final = 4096
_MOST_DIRECTORY: Final = 32 << 20
"""The list of a zip archive's files is read up to this size."""
_END_OF_ZIP: Final = b"PK\x05\x06"
_LONGEST_END: Final = 22 + 0xFFFF
_STARTS: Final = (
    (re.compile(rb"version https://git-lfs\.github\.com/spec/"), Kind.LFS_POINTER),
    (re.compile(rb"\x89HDF\r\n\x1a\n"), Kind.KERAS),
    (re.compile(rb"....TFL3", re.DOTALL), Kind.TFLITE),
    (re.compile(rb"\x93NUMPY"), Kind.NPY),
    (re.compile(rb"ftrt|ptrt"), Kind.TENSORRT),
    (re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ\0|\x28\xb5\x2f\xfd|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07"), Kind.ARCHIVE),
    # Eight bytes of length, then the JSON of the header: huggingface/safetensors, "Format".
    (re.compile(rb'[^\0].{0,4}\0{3,}\{\s*"|.{8}\{\s*"', re.DOTALL), Kind.SAFETENSORS),
    # torch.save before 1.6: a pickle of torch's magic number.
    (re.compile(rb"\x80[\x02-\x05].{0,11}\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", re.DOTALL), Kind.CHECKPOINT),
    (re.compile(rb"\x80[\x02-\x05]"), Kind.PICKLE),
    (re.compile(rb"<\?xml[^>]*>\s*<net\b|<net\b"), Kind.OPENVINO),
    (re.compile(rb"\s*(?:<!doctype html|<html)", re.IGNORECASE), Kind.WEB_PAGE),
)
_EXPORTED_PROGRAM: Final = {"serialized_exported_program.json", "models/model.json"}
"""In archives of torch.export.save: of PyTorch up to 2.7, and later."""
_SUFFIXES: Final = {
    ".onnx": Kind.ONNX,
    ".mlmodel": Kind.CORE_ML,
    ".engine": Kind.TENSORRT,
    ".plan": Kind.TENSORRT,
    ".tflite": Kind.TFLITE,
}
_TAR_MAGIC: Final = slice(257, 262)
_TAR_NAME: Final = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz|tzst)\Z", re.IGNORECASE)
_ONNX_START: Final = re.compile(rb"\x08[\x01-\x14](?:[\x12\x1a\x22\x2a\x32\x3a\x42]|\Z)", re.DOTALL)
"""`ir_version`, the first field of a ModelProto, and the tag of the field after it (onnx/onnx.proto)."""


def kind_of_file(path: Path) -> Kind:
    """Return what a file is; a pipe, socket or device is not opened."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return Kind.SPECIAL
        with path.open("rb") as file:
            head = file.read(_HEAD)
        return _kind(path, head)
    except OSError:
        return Kind.UNREADABLE


def zip_names(path: Path) -> tuple[str, ...]:
    """Return the names in a zip archive; none of one that is damaged, or whose list is larger than 32 MiB."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LONGEST_END))
            tail = file.read(_LONGEST_END)
        end = tail.rfind(_END_OF_ZIP)
        if end < 0 or int.from_bytes(tail[end + 12 : end + 16], "little") > _MOST_DIRECTORY:
            return ()
        with zipfile.ZipFile(path) as archive:
            return tuple(archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return ()


def _kind(path: Path, head: bytes) -> Kind:
    if not head:
        return Kind.EMPTY_FILE
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    known = _kind_by_start(path, head)
    if known is not None:
        return known
    return _kind_of_text(path, head) if _is_text(head) else _SUFFIXES.get(path.suffix.lower(), Kind.FILE)


def _kind_by_start(path: Path, head: bytes) -> Kind | None:
    if format_of(head):
        return Kind.PICTURE
    if head[_TAR_MAGIC] == b"ustar":
        return Kind.TAR
    if _ONNX_START.match(head):
        return Kind.ONNX
    kind = next((kind for start, kind in _STARTS if start.match(head)), None)
    if kind in (None, Kind.ARCHIVE) and _TAR_NAME.search(path.name) and not _is_text(head):
        return Kind.TAR  # compressed, or of a time before its magic
    return kind


def _kind_of_zip(path: Path) -> Kind:
    names = zip_names(path)
    inner = {name.partition("/")[2] for name in names} | set(names)
    if "constants.pkl" in inner:
        return Kind.TORCHSCRIPT
    if "data.pkl" in inner:
        return Kind.CHECKPOINT
    if inner & _EXPORTED_PROGRAM:
        return Kind.EXPORTED_PROGRAM
    if "model.weights.h5" in inner:
        return Kind.KERAS
    if names and all(name.endswith(".npy") for name in names):
        return Kind.NPZ
    return Kind.ZIP


def _is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a character that the end of what was read cuts in two
    return True


def _kind_of_text(path: Path, head: bytes) -> Kind:
    if path.suffix.lower() == ".csv":
        return Kind.CSV
    if head.lstrip()[:1] not in (b"{", b"["):
        return Kind.TEXT
    if path.name == "manifest.json":
        return Kind.MANIFEST
    return Kind.RUN_INFO if path.name == "run.json" else Kind.JSON
