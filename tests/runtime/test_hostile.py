"""Hostile bundles and pictures: a clear error or a right answer, in bounded memory."""

import contextlib
import copy
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import assert_refused
from torchstone_runtime.bundle.manifest import parse_essentials
from torchstone_runtime.cli.inspect import inspect
from torchstone_runtime.data.npz import load_npz
from torchstone_runtime.errors import DataError, TorchstoneError
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec

SPEC = InputSpec(color="RGB", height=8, width=8, mean=(0.5,) * 3, std=(0.5,) * 3)
ABSURD: tuple[Any, ...] = (None, True, -1, 10**400, 1e308, float("nan"), "\ud800", "\x1b[2J", [], {}, [[]], {"a": {}})


def places(data: object, path: tuple[Any, ...] = (), *, items: int | None = None) -> list[tuple[Any, ...]]:
    """List the keys that lead to every value of a JSON document, or to the first items of its lists alone."""
    inside = data.items() if isinstance(data, dict) else enumerate(data[:items]) if isinstance(data, list) else ()
    return [found for key, value in inside for found in [(*path, key), *places(value, (*path, key), items=items)]]


@pytest.mark.parametrize("items", [2, pytest.param(None, marks=pytest.mark.study)])
def test_inspect_survives_any_field(
    digits_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], items: int | None
) -> None:
    """Every field of a real manifest replaced by absurd values: described without control characters, or refused.

    Of a list, the first two items; in the study all of them.
    """
    original = json.loads((digits_bundle / "manifest.json").read_bytes())
    for place in places(original, items=items):
        for value in ABSURD:
            data: Any = copy.deepcopy(original)
            target = data
            for key in place[:-1]:
                target = target[key]
            target[place[-1]] = value
            (tmp_path / "manifest.json").write_text(json.dumps(data))
            with contextlib.suppress(TorchstoneError):
                inspect.main([str(tmp_path)], standalone_mode=False)
    assert "\x1b" not in capsys.readouterr().out


def test_a_name_cannot_steer_the_terminal(bundle_copy: Path) -> None:
    """Escape sequences in free parts of the manifest are shown as text."""
    path = bundle_copy / "manifest.json"
    data = json.loads(path.read_bytes())
    data["provenance"]["dataset"]["kind"] = "\x1b[2Jdigits"
    path.write_text(json.dumps(data))
    result = run_in_process("inspect", bundle_copy)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    assert "\\x1b[2Jdigits" in result.stdout


def test_an_error_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Nor a file name in a message."""
    result = run_in_process("inspect", tmp_path / "\x1b[31mred")
    assert_refused(result, "\\x1b[31mred")
    assert "\x1b" not in result.stderr


def test_an_npz_member_that_is_no_array_is_refused(tmp_path: Path) -> None:
    """NumPy hands out its bytes."""
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("images.npy", b"no array")
        archive.writestr("labels.npy", b"")
    with pytest.raises(DataError, match="'images' is not an array"):
        load_npz(tmp_path / "x.npz")


def test_essentials_that_are_no_text_are_refused() -> None:
    """Lone surrogates, as a caller may pass them."""
    with pytest.raises(TorchstoneError):
        parse_essentials("\ud800")


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "1x1": lambda: Image.new("L", (1, 1), 200),
    "1x8000": lambda: Image.new("L", (1, 8000), 200),
    "8000x1": lambda: Image.new("RGB", (8000, 1), (200, 200, 200)),
    "palette": lambda: Image.new("RGB", (9, 9), (200, 200, 200)).quantize(4),
    "CMYK": lambda: Image.new("RGB", (9, 9), (200, 200, 200)).convert("CMYK"),
    "16 bit": lambda: Image.fromarray(np.full((9, 9), 200 * 257, np.uint16)),
    "LA": lambda: Image.new("LA", (9, 9), (200, 0)),
    "1 bit": lambda: Image.new("1", (9, 9), 1),
}


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_an_odd_picture_gives_its_own_color(kind: str, file_format: str) -> None:
    """One plain color, in every odd mode and size that the format can hold, comes out as that color."""
    if (kind, file_format) == ("CMYK", "PNG"):
        pytest.skip("PNG has no CMYK")
    buffer = io.BytesIO()
    PICTURES[kind]().save(buffer, file_format)
    pixels = decode_image(buffer.getvalue(), SPEC)
    assert pixels.shape == SPEC.shape
    assert np.abs(pixels.astype(int) - (255 if kind == "1 bit" else 200)).max() <= 1


BOMBS = """
import io, resource, struct, sys, zlib
import numpy as np
from PIL import Image
from torchstone_runtime.errors import TorchstoneError
from torchstone_runtime.bundle.golden import GoldenSamples
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.bundle.manifest import parse_manifest
from torchstone_runtime.system.memory import peak_memory
import zipfile

def archive():
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1, 1000, 1000), }".ljust(117) + b"\\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("images", "logits", "probabilities"):
            start = b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", len(header))
            file.writestr(name + ".npy", start + header + bytes(10**7))
    return buffer.getvalue()

def png(side):
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = part(b"IHDR", struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0))
    return b"\\x89PNG\\r\\n\\x1a\\n" + header + part(b"IDAT", b"")

spec = InputSpec(color="L", height=8, width=8, mean=(0.5,), std=(0.5,))
text = b'{"a":' * 3_000_000
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
for read, content in ((GoldenSamples.from_bytes, archive()), (parse_manifest, text),
                      (lambda data: decode_image(data, spec), png(60_000)),
                      (lambda data: decode_image(data, spec), png(9_000))):
    try:
        read(content)
        print("read")
    except TorchstoneError:
        print("refused")
print(peak_memory() // 2**20)
"""


def test_bombs_are_refused_in_bounded_memory() -> None:
    """An archive that claims a terabyte, nesting of millions, and pictures of 60,000 and 9,000 pixels a side."""
    result = subprocess.run(
        [sys.executable, "-c", BOMBS],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        timeout=120,
    )
    *answers, peak = result.stdout.split()
    assert answers == ["refused"] * 4, result.stderr
    assert int(peak) < 600
