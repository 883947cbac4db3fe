"""A file that is an ONNX file to a reader of protocol buffers and another model to ONNX Runtime."""

import struct
import tempfile
from pathlib import Path

import onnxruntime as ort

_ROOT = 0x8118
"""Where the flatbuffer's root has to lie: read as protocol buffers, this offset is field 3 with the number 1."""
_SHIFT = 0x8140


def in_ort_format(model: bytes) -> bytes:
    """Return an ONNX file in ONNX Runtime's own format."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.optimized_model_filepath = str(Path(folder, "model.ort"))
        options.add_session_config_entry("session.save_model_format", "ORT")
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return Path(folder, "model.ort").read_bytes()


def polyglot(hidden: bytes, shown: bytes = b"") -> bytes:
    """Return a file that ONNX Runtime may take for one model, and a reader of protocol buffers for another.

    Args:
        hidden: an ONNX file; it follows in ORT format, inside a text that no reader of ONNX looks at.
        shown: the fields of an ONNX file, at most some 32,000 bytes.
    """
    content = in_ort_format(hidden)
    made = bytearray(_SHIFT) + content
    # As protocol buffers: field 3 with an overlong 1, field 0 with "O", field 10 ("R") of 84 bytes ("T").
    made[:8] = struct.pack("<I", _ROOT) + b"ORTM"
    _write_root(made, content)
    _write_shown(made, shown)
    return bytes(made)


def _write_root(made: bytearray, content: bytes) -> None:
    root = struct.unpack_from("<I", content)[0]
    table = root - struct.unpack_from("<i", content, root)[0]
    count = (struct.unpack_from("<H", content, table)[0] - 4) // 2
    slots = struct.unpack_from(f"<{count}H", content, table + 4)
    offsets = [4 + 4 * index if slot else 0 for index, slot in enumerate(slots)]
    written = struct.pack(f"<HH{count}H", 4 + 2 * count, 4 + 4 * count, *offsets)
    start = (_ROOT - len(written)) & ~1
    made[start : start + len(written)] = written
    struct.pack_into("<i", made, _ROOT, _ROOT - start)
    for slot, offset in zip(slots, offsets, strict=True):
        if slot:
            target = root + slot + struct.unpack_from("<I", content, root + slot)[0] + _SHIFT
            struct.pack_into("<I", made, _ROOT + offset, target - _ROOT - offset)


def _write_shown(made: bytearray, shown: bytes) -> None:
    start = 7 + ord("T")
    rest = len(made) - start - len(shown) - 5
    length = bytes((rest >> shift & 0x7F) | (0x80 if shift < 21 else 0) for shift in (0, 7, 14, 21))
    made[start : start + len(shown) + 5] = shown + b"\x12" + length
