"""A bundle with other classes or another input: in its manifest, and in the metadata of its model files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

_METADATA_PROPS = 14
"""Number of the field in ONNX's `ModelProto`; of two entries with one key the later one counts."""


def rename_classes(bundle: Path, names: Sequence[str]) -> None:
    """Give the classes of a bundle other names, as if it had been exported with them."""
    _state(bundle, {"classes": list(names)})


def show_the_centre(bundle: Path, resize: int) -> None:
    """Let a bundle take the centre of a picture whose shorter side is resized, as if it had been exported so."""
    given = json.loads((bundle / "manifest.json").read_text())["input"]
    _state(bundle, {"format_version": 3, "input": given | {"fit": "crop", "resize": resize}})


def _state(bundle: Path, changes: Mapping[str, Any]) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for entry in manifest["variants"].values():
        file = bundle / entry["file"]
        if file.suffix != ".onnx":
            continue
        stated = ort.InferenceSession(file.read_bytes()).get_modelmeta().custom_metadata_map["torchstone"]
        content = file.read_bytes() + _metadata(json.dumps(json.loads(stated) | changes))
        file.write_bytes(content)
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def _metadata(value: str) -> bytes:
    return _field(_METADATA_PROPS, _field(1, b"torchstone") + _field(2, value.encode()))


def _field(number: int, content: bytes) -> bytes:
    """Return a field of type "length-delimited" in Protocol Buffers' encoding."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))
