"""Coverage-guided fuzzing of everything that reads what comes from outside; needs atheris.

    python tests/fuzz/fuzz_readers.py TARGET -max_total_time=20 [other options of libFuzzer]

TARGET is one of manifest, golden, onnx, idx, npz, npy, image, infer. Whatever is not a TorchstoneError ends the run
with the input that caused it. Of several, separated by commas, each has a process of its own, and its exit code is a
line on stdout. test_fuzz.py runs each for a few seconds where atheris is installed.
"""

import contextlib
import gzip
import io
import os
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import atheris
import numpy as np
from PIL import Image

with atheris.instrument_imports(include=["torchstone_runtime"]):
    from torchstone_runtime.bundle.golden import GoldenSamples
    from torchstone_runtime.bundle.manifest import parse_essentials, parse_manifest
    from torchstone_runtime.data.idx import read_idx
    from torchstone_runtime.data.npz import load_npz
    from torchstone_runtime.diagnosis.tensor_file import read_tensor
    from torchstone_runtime.errors import TorchstoneError
    from torchstone_runtime.images.decode import decode_image
    from torchstone_runtime.images.input_spec import InputSpec
    from torchstone_runtime.inference.onnx_graph import check_graph
    from torchstone_runtime.protocol.body import decompress
    from torchstone_runtime.protocol.infer_request import RequestLimits, read_infer_request

SPEC = InputSpec(color="RGB", height=6, width=5, mean=(0.5,) * 3, std=(0.5,) * 3)
FOLDER = Path(tempfile.mkdtemp())


def from_file(name: str, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a target that writes its bytes to a file and reads that."""

    def run(content: bytes) -> object:
        (FOLDER / name).write_bytes(content)
        return read(FOLDER / name)

    return run


def essentials(content: bytes) -> None:
    """Read a manifest, and the same as metadata of a lone file."""
    with contextlib.suppress(TorchstoneError):
        parse_essentials(content.decode("utf-8", "surrogateescape"))
    parse_manifest(content)


def infer(content: bytes) -> None:
    """Read the body of an inference request: its first byte is the length of its JSON, or the compression."""
    first, body = content[:1], content[1:]
    coding = {b"\xfe": "gzip", b"\xff": "deflate"}.get(first)
    if coding:
        body = decompress(body, coding, 1 << 16)
    length = None if coding or not first else str(first[0])
    read_infer_request(body, length, RequestLimits((1, 2, 2), 8))


TARGETS: dict[str, Callable[[bytes], object]] = {
    "manifest": essentials,
    "golden": GoldenSamples.from_bytes,
    "onnx": check_graph,
    "idx": from_file("x", lambda path: read_idx(path, 3)),
    "npz": from_file("x.npz", load_npz),
    "npy": from_file("x.npy", read_tensor),
    "image": lambda content: decode_image(content, SPEC),
    "infer": infer,
}


def requests() -> list[bytes]:
    """Return requests in each of their forms."""
    pixels = b'{"inputs":[{"name":"images","datatype":"UINT8","shape":[1,1,2,2],'
    binary = pixels + b'"parameters":{"binary_data_size":4}}]}'
    plain = pixels + b'"data":[0,1,2,3]}],"outputs":[{"name":"logits","parameters":{"classification":2}}],"id":"a"}'
    files = b'{"inputs":[{"name":"encoded","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":6}}]}'
    return [
        bytes([len(binary)]) + binary + bytes(4),
        bytes([len(files)]) + files + bytes([2, 0, 0, 0, 1, 1]),
        bytes([len(plain)]) + plain,
        b"\xfe" + gzip.compress(plain),
        b"\xff" + zlib.compress(plain),
        bytes(5),
    ]


def seeds() -> dict[str, list[bytes]]:
    """Return small valid inputs to start from."""
    archive, array = io.BytesIO(), io.BytesIO()
    np.savez(archive, images=np.zeros((1, 2, 2), np.uint8), labels=np.zeros(1, int))
    np.save(array, np.zeros((1, 2, 2), np.float32))
    samples = GoldenSamples(
        np.zeros((1, 1, 2, 2), np.uint8), np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32)
    )
    pictures = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        Image.new("RGB", (3, 3)).save(buffer, kind)
        pictures.append(buffer.getvalue())
    return {
        "manifest": [b'{"format": "torchstone-bundle", "format_version": 1, "classes": ["a", "b"], "input": {}}'],
        "golden": [samples.to_bytes()],
        "onnx": [bytes.fromhex("3a0a0a08220341626332013a")],
        "idx": [bytes.fromhex("00000803000000010000000200000002") + bytes(4)],
        "npz": [archive.getvalue()],
        "npy": [array.getvalue()],
        "image": pictures,
        "infer": requests(),
    }


def main() -> None:
    """Fuzz the target that the first argument names, or each of several in a fork: what is read is prepared once."""
    names = sys.argv.pop(1).split(",")
    if len(names) == 1:
        fuzz(*names)
    for name in names:
        if not (child := os.fork()):
            fuzz(name)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{name} {code}\n")


def fuzz(name: str) -> NoReturn:
    """Fuzz one target; the process ends with it."""
    corpus = FOLDER / f"corpus-{name}"
    corpus.mkdir()
    for index, content in enumerate(seeds()[name]):
        (corpus / str(index)).write_bytes(content)

    def one_input(content: bytes) -> None:
        with contextlib.suppress(TorchstoneError):
            TARGETS[name](content)

    atheris.Setup([*sys.argv, f"-artifact_prefix={FOLDER}/", str(corpus)], one_input)
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    main()
