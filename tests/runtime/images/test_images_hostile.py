import contextlib
import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import decode_image
from torchstone_runtime.images.geometry import MAX_PIXELS
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.picture_header import picture_header

SPEC = InputSpec(color="L", height=6, width=5, mean=(0.5,), std=(0.5,))
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
KINDS = ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"]
STARTS = [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"P5 ", b"\xff\xd8\xff"]


def encoded(kind: str) -> bytes:
    """Return the picture as a file of that format."""
    buffer = io.BytesIO()
    PICTURE.save(buffer, format=kind)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG file of under 100 bytes whose header claims that many pixels."""
    chunks = [
        (b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0")),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("size", [(MAX_PIXELS + 1, 1), (20_000, 5_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_refused(size: tuple[int, int]) -> None:
    """A few bytes that claim more pixels than the limit are refused by that number, unread."""
    with pytest.raises(ImageError, match="89,478,485"):
        decode_image(png_claiming(*size), SPEC)


def test_a_pillow_image_above_the_limit_is_refused() -> None:
    """The limit is the same for pictures that are open already."""
    with pytest.raises(ImageError, match="10,000 x 9,000 pixels; the limit is"):
        decode_image(Image.new("1", (10_000, 9_000)), SPEC)


def test_a_text_file_is_refused_by_name(tmp_path: Path) -> None:
    """The message has the path and the formats that are read."""
    path = tmp_path / "notes.png"
    path.write_text("not an image")
    with pytest.raises(ImageError, match=r"(?s)notes\.png is not an image.*PNG, JPEG"):
        decode_image(path, SPEC)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message has the path."""
    with pytest.raises(ImageError, match=r"nowhere\.png does not exist"):
        decode_image(tmp_path / "nowhere.png", SPEC)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """A folder, and a named pipe that nobody writes to, which must not be waited for."""
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        decode_image(tmp_path / "pipe.png", SPEC)
    with pytest.raises(ImageError, match="Is a directory"):
        decode_image(tmp_path, SPEC)


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_refused(kind: str) -> None:
    """Half a download is not shown to the model with the rest in gray."""
    content = encoded(kind)
    with pytest.raises(ImageError, match="the image data"):
        decode_image(content[: len(content) // 2], SPEC)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_32_bits_are_refused(mode: str) -> None:
    """Their range is not known, so that any scaling would be a guess."""
    with pytest.raises(ImageError, match=f"mode {mode}"):
        decode_image(Image.new(mode, (5, 6)), SPEC)


def test_postscript_is_refused() -> None:
    """Pillow would start Ghostscript on it: an image that runs a program."""
    buffer = io.BytesIO()
    PICTURE.save(buffer, format="EPS")
    with pytest.raises(ImageError, match="not an image in a supported format"):
        decode_image(buffer.getvalue(), SPEC)


def test_empty_data_is_refused() -> None:
    """No bytes are no image."""
    with pytest.raises(ImageError, match=r"the image data \(0 bytes\)"):
        decode_image(b"", SPEC)


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"P5 ", b"\xff\xd8\xff"]),
)
def test_any_bytes_give_an_array_or_an_image_error(content: bytes, start: bytes) -> None:
    """No other exception ever escapes, also behind the first bytes of a real format."""
    with contextlib.suppress(ImageError):
        assert decode_image(start + content, SPEC).shape == SPEC.shape


@pytest.mark.parametrize("decode", ["full", "reduced"])
def test_a_damaged_exif_block_leaves_a_picture_upright(decode: Literal["full", "reduced"]) -> None:
    """A JPEG that states its resolution beside it: Pillow reads the block no sooner than it is asked for it."""
    buffers = io.BytesIO(), io.BytesIO()
    PICTURE.save(buffers[0], "JPEG", dpi=(72, 72))
    PICTURE.save(buffers[1], "JPEG", dpi=(72, 72), exif=b"Exif\0\0damaged")
    intact, damaged = (buffer.getvalue() for buffer in buffers)
    spec = replace(SPEC, decode=decode)
    np.testing.assert_array_equal(decode_image(damaged, spec), decode_image(intact, spec))
    assert picture_header(damaged) == picture_header(intact)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8))
def test_any_damage_gives_an_array_or_an_image_error(kind: str, changes: list[tuple[int, int]]) -> None:
    """Real files with bytes changed anywhere."""
    content = bytearray(encoded(kind))
    for position, value in changes:
        content[position % len(content)] = value
    with contextlib.suppress(ImageError):
        assert decode_image(bytes(content), SPEC).shape == SPEC.shape
