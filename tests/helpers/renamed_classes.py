"""A bundle whose classes have other names: in its manifest, and in the metadata of its model files."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

_METADATA_PROPS = 14
"""Number of the field in ONNX's `ModelProto`; of two entries with one key the later one counts."""


def rename_classes(bundle: Path, names: Sequence[str]) -> None:
    """Give the classes of a bundle other names, as if it had been exported with them."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    for entry in manifest["variants"].values():
        file = bundle / entry["file"]
        stated = ort.InferenceSession(file.read_bytes()).get_modelmeta().custom_metadata_map["torchstone"]
        content = file.read_bytes() + _metadata(json.dumps(json.loads(stated) | {"classes": list(names)}))
        file.write_bytes(content)
        entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"classes": list(names)}))


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
