"""The compiled resampling gives Pillow's bytes, whatever the size, the filter, the box and the part."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.images.resampling import compiled
from torchstone_runtime.images.resampling.compiled import LIBRARY, SWITCH, is_compiled, resampled
from torchstone_runtime.images.resampling.resizing import PILLOW_FILTERS, Resizing

pytestmark = pytest.mark.skipif(not is_compiled(), reason="this installation was built without a C compiler")

FILTERS = ("bicubic", "bilinear", "lanczos")


def noise(mode: str, height: int, width: int, seed: int) -> Image.Image:
    """Return a picture of random bytes, half of them black or white: what rounding and clipping meet most."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    extreme = random.random((height, width)) < 0.5
    pixels[extreme] = random.choice(np.array([0, 255], np.uint8), (int(extreme.sum()), 1))
    return Image.fromarray(pixels).convert(mode)


def by_pillow(image: Image.Image, resizing: Resizing) -> Uint8Array:
    """Return the part of Pillow's resized picture."""
    whole = np.asarray(image.resize((resizing.width, resizing.height), PILLOW_FILTERS[resizing.filter], resizing.box))
    part = whole[resizing.rows.start : resizing.rows.stop, resizing.columns.start : resizing.columns.stop]
    return np.moveaxis(part, -1, 0) if part.ndim == 3 else part[np.newaxis]


def drawn_part(draw: Callable[..., Any], size: int) -> range:
    """Draw a part of that many rows or columns, not an empty one."""
    start = draw(st.integers(0, size - 1))
    return range(start, draw(st.integers(start + 1, size)))


@st.composite
def resizings(draw: Callable[..., Any]) -> tuple[Image.Image, Resizing]:
    """Draw a picture of up to 400 pixels a side, gray or in colour, and what is to be made of it."""
    height, width = draw(st.integers(1, 400)), draw(st.integers(17, 400))
    image = noise(draw(st.sampled_from(["L", "RGB"])), height, width, draw(st.integers(0, 2**32 - 1)))
    rows, columns = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    edges = st.floats(0, 0.4)
    left, upper, right, below = (draw(edges) if draw(st.booleans()) else 0.0 for _ in range(4))
    box = (left * width, upper * height, width - right * width, height - below * height)
    part = drawn_part(draw, rows), drawn_part(draw, columns)
    return image, Resizing(rows, columns, draw(st.sampled_from(FILTERS)), box, *part)


@settings(deadline=None, max_examples=400)
@given(resizings())
def test_the_bytes_are_pillows(drawn: tuple[Image.Image, Resizing]) -> None:
    """Every one, where the compiled code takes the picture."""
    image, resizing = drawn
    found = resampled(image, resizing)
    assert found is None or (found == by_pillow(image, resizing)).all()


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("name", FILTERS)
def test_a_photograph_is_not_left_to_pillow(mode: str, name: str) -> None:
    """Shrunk to its centre, as `fit = "crop"` does it."""
    image = noise(mode, 375, 500, 0)
    resizing = Resizing(256, 341, name, (0, 0, 500, 375), range(16, 240), range(58, 282))
    found = resampled(image, resizing)
    assert found is not None
    assert (found == by_pillow(image, resizing)).all()


def test_a_picture_of_many_pixels_is_in_one_piece() -> None:
    """Pillow's own pieces hold four million pixels in colour; those of a telephone have twelve."""
    image = noise("RGB", 3000, 1500, 1)
    resizing = Resizing(512, 256, "bilinear", (0, 0, 1500, 3000), range(144, 368), range(16, 240))
    wide = image.transpose(Image.Transpose.ROTATE_90)
    turned = Resizing(256, 512, "bilinear", (0, 0, 3000, 1500), resizing.columns, resizing.rows)
    found = resampled(wide, turned)
    assert found is not None
    assert (found == by_pillow(wide, turned)).all()


@pytest.mark.parametrize("width", [90, 130])
def test_a_tall_picture_is_not_left_to_pillow(width: int) -> None:
    """Pillow 13 resizes its columns first; each pass rounds, so that the other order is off by a level in places."""
    image = noise("RGB", 400, 100, 0)
    resizing = Resizing(100, width, "bilinear", (0, 0, 100, 400), range(5, 95), range(width))
    found = resampled(image, resizing)
    assert found is not None
    assert (found == by_pillow(image, resizing)).all()


def test_a_part_is_what_the_whole_has_there() -> None:
    """No edge of the part is taken for an edge of the picture."""
    image = noise("RGB", 300, 200, 2)
    whole = resampled(image, Resizing(150, 100, "bicubic", (0, 0, 200, 300), range(150), range(100)))
    part = resampled(image, Resizing(150, 100, "bicubic", (0, 0, 200, 300), range(40, 90), range(30, 77)))
    assert whole is not None
    assert part is not None
    assert (part == whole[:, 40:90, 30:77]).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a = -0.5;", "a = -0.75;"),  # of weights.c: another cubic
        ("#define HALF (1 << (PRECISION_BITS - 1))", "#define HALF 0"),  # of passes.c: rounded down
        ("RESAMPLING_VERSION 3", "RESAMPLING_VERSION 2"),  # of resampling.h: built from older files
    ],
)
def test_what_disagrees_with_pillow_is_not_used(
    old: str, new: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what was built for another version of the caller; a Pillow of tomorrow may resize otherwise."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    files = [file for file in LIBRARY.parent.iterdir() if file.suffix in (".c", ".h")]
    altered = {file.name: file.read_text().replace(old, new) for file in files}
    assert altered != {file.name: file.read_text() for file in files}
    for name, text in altered.items():
        (tmp_path / name).write_text(text)
    sources = [tmp_path / name for name in altered if name.endswith(".c")]
    library = tmp_path / "other.compiled"
    flags = ["-O2", "-ffp-contract=off", "-std=gnu11", "-fPIC", "-shared"]
    command = ["cc", *flags, "-o", str(library), *map(str, sources), "-lm"]
    subprocess.run(command, check=True)

    monkeypatch.setattr(compiled, "LIBRARY", library)
    compiled._library.cache_clear()
    try:
        assert not is_compiled()
    finally:
        compiled._library.cache_clear()


@pytest.mark.parametrize("setting", ["0", "loops"])
def test_the_switch_gives_the_same_pixels(setting: str) -> None:
    """Without the compiled code, and with its loops in place of its vectors."""
    program = (
        "import hashlib, io, numpy as np; from PIL import Image\n"
        "from torchstone_runtime.images.decode import decode_image\n"
        "from torchstone_runtime.images.input_spec import InputSpec\n"
        "from torchstone_runtime.images.resampling.compiled import is_compiled\n"
        "pixels = np.random.default_rng(0).integers(0, 256, (200, 311, 3), np.uint8)\n"
        "sums = hashlib.sha256()\n"
        "for color, n in (('RGB', 3), ('L', 1)):\n"
        "    shape = {'height': 64, 'width': 70, 'resize': 71}\n"
        "    spec = InputSpec(color=color, **shape, fit='crop', mean=(0.5,) * n, std=(0.5,) * n)\n"
        "    sums.update(decode_image(Image.fromarray(pixels), spec).tobytes())\n"
        "print(is_compiled(), sums.hexdigest())"
    )

    def printed(**environment: str) -> list[str]:
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
        return done.stdout.split()

    compiled, pixels = printed()
    switched, others = printed(**{SWITCH: setting})
    assert compiled == "True"
    assert switched == str(setting == "loops")
    assert pixels == others
