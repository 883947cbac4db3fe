import io
import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from helpers.in_process import run_in_process
from helpers.support import assert_refused, write_image_tree
from torchstone_runtime.bundle.manifest import essentials_json, parse_essentials
from torchstone_runtime.data.folder import FileStore, load_folder
from torchstone_runtime.errors import BundleError, ImageError
from torchstone_runtime.images.bit_depth import Depth, narrow_warning, scale_to_eight_bits
from torchstone_runtime.images.decode import decode_image, decode_original
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.images.picture_header import sixteen_bit_depth

RAMP = np.linspace(0, 4095, 120).astype(np.uint16).reshape(12, 10)
"""What a camera of 12 bits writes."""


def encoded(values: npt.NDArray[np.uint16], kind: str = "PNG") -> bytes:
    """Encode gray values in 16 bits."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def colour_png(value: int) -> bytes:
    """Encode a picture of 2 x 2 in RGB of 16 bits, which Pillow itself can't write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + struct.pack(">H", value) * 6) * 2
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@given(st.integers(8, 16), st.data())
def test_values_are_scaled_to_the_nearest(bits: int, data: st.DataObject) -> None:
    """The largest becomes 255, whatever the number of bits."""
    largest = 2**bits - 1
    value = data.draw(st.integers(0, largest))
    found = scale_to_eight_bits(np.array([value, largest, 0], dtype=np.uint16), bits).tolist()
    assert abs(found[0] - value * 255 / largest) <= 0.5
    assert found[1:] == [255, 0]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_twelve_bits_fill_the_range_where_they_are_stated(gray: InputSpec, kind: str) -> None:
    """Without it the brightest value is 16 of 255."""
    content = encoded(RAMP, kind)
    assert decode_image(content, gray).max() == 16
    assert np.abs(decode_image(content, replace(gray, bits=12))[0] - RAMP / 4095 * 255).max() <= 0.5
    np.testing.assert_array_equal(decode_original(content, "L", bits=12), decode_image(content, replace(gray, bits=12)))


def test_a_value_that_the_bits_can_not_hold_is_refused(gray: InputSpec) -> None:
    """Clipped it would be a wrong picture."""
    with pytest.raises(ImageError, match=r"values up to 4,095; pictures of 10 bits hold at most 1,023"):
        decode_image(encoded(RAMP), replace(gray, bits=10))


def test_pictures_of_eight_bits_are_not_changed_by_the_bits(gray: InputSpec) -> None:
    """They are what they were."""
    picture = Image.fromarray((RAMP // 16).astype(np.uint8))
    np.testing.assert_array_equal(decode_image(picture, replace(gray, bits=12)), decode_image(picture, gray))


def test_a_pgm_file_states_its_range_itself(gray: InputSpec) -> None:
    """Its maximum stands in its header, and the option isn't needed, nor a warning."""
    content = b"P5 10 12 4095\n" + RAMP.astype(">u2").tobytes()
    for bits in (12, 16):
        assert decode_image(content, replace(gray, bits=bits)).max() == 255
    assert sixteen_bit_depth(content) is None


def test_a_tiff_file_of_twelve_bits_states_its_range_itself() -> None:
    """Pillow reads its values unscaled: 4095 is white, 2048 the middle."""
    fields = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 110, 278: 1, 279: 3}  # TIFF 6.0, section 8
    directory = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in fields.items())
    content = b"II*\0" + struct.pack("<IH", 8, len(fields)) + directory + bytes(4) + b"\xff\xf8\x00"
    assert decode_original(content, "L").tolist() == [[[255, 128]]]
    assert sixteen_bit_depth(content) is None


@pytest.mark.parametrize(
    ("peaks", "bits"),
    [
        ([200], 8),
        ([255], 8),
        ([256], 10),
        ([1023], 10),
        ([1024, 3], 12),
        ([4095], 12),
        ([4096], None),
        ([60000, 9], None),
    ],
)
def test_the_bits_are_told_by_the_largest_value(peaks: list[int], bits: int | None) -> None:
    """Of all pictures looked at."""
    warning = narrow_warning([Depth(peak, is_gray=True) for peak in peaks])
    assert (warning is None) == (bits is None)
    assert bits is None or f"Say so with --bits {bits};" in (warning or "")


@pytest.mark.parametrize("peaks", [[], [0], [0, 0]])
def test_nothing_is_said_where_nothing_is_seen(peaks: list[int]) -> None:
    """No 16-bit pictures, or black ones."""
    assert narrow_warning([Depth(peak, is_gray=True) for peak in peaks]) is None


def test_dark_pictures_in_colour_are_told_otherwise(gray: InputSpec) -> None:
    """Of 16-bit colour Pillow reads the upper 8 bits alone: no option brings the others back."""
    depth = sixteen_bit_depth(colour_png(4095))
    assert depth == Depth(4095, is_gray=False)
    assert "Scale them to 8 bits first" in (narrow_warning([depth]) or "")
    with pytest.raises(ImageError, match="only the upper 8 bits are read"):
        decode_image(colour_png(4095), replace(gray, bits=12))


def test_eight_bit_pictures_have_no_sixteen_bit_depth() -> None:
    """Nothing is measured of them."""
    buffer = io.BytesIO()
    Image.new("L", (3, 3), 9).save(buffer, "PNG")
    assert sixteen_bit_depth(buffer.getvalue()) is None


def write_ramps(root: Path, classes: tuple[str, ...]) -> Path:
    """Write pictures of 12 bits in 16."""
    for name in classes:
        (root / name).mkdir(parents=True)
        for index in range(5):
            (root / name / f"{index}.png").write_bytes(encoded(RAMP))
    return root


def test_a_folder_warns_by_a_sample(tmp_path: Path, gray: InputSpec) -> None:
    """Also where most pictures have 8 bits; not where the bits are known."""
    root = write_ramps(write_image_tree(tmp_path, {"a": 5, "b": 5}), ("c",))
    store = load_folder(root, "whole", gray).store
    assert isinstance(store, FileStore)
    assert "(5 were looked at)" in (store.narrow_warning() or "")
    assert replace(store, spec=replace(gray, bits=12)).narrow_warning() is None


def test_evaluate_and_predict_warn_and_take_the_bits(digits_bundle: Path, tmp_path: Path) -> None:
    """The warning says what to type; typed, it is gone."""
    root = write_ramps(tmp_path / "in", ("0", "1"))
    commands: list[list[str | Path]] = [
        ["evaluate", digits_bundle, "--data", f"folder:{root}"],
        ["predict", digits_bundle, root],
    ]
    for command in commands:
        assert "Say so with --bits 12;" in run_in_process(*command).stderr
        for bits in ("12", "16"):
            result = run_in_process(*command, "--bits", bits)
            assert (result.returncode, "--bits" in result.stderr) == (0, False)


def test_bits_are_for_folders(digits_bundle: Path) -> None:
    """Arrays have 8 bits."""
    assert_refused(
        run_in_process("evaluate", digits_bundle, "--data", "digits", "--bits", "12"), "--bits is for folders"
    )


def test_bits_stand_in_a_bundle_of_version_2(gray: InputSpec) -> None:
    """A reader of version 1 would feed such a model nearly black pictures; all other bundles stay at version 1."""
    text = essentials_json("m", ("a", "b"), replace(gray, bits=12), 1.0)
    assert json.loads(text)["format_version"] == 2
    assert parse_essentials(text)[2].bits == 12
    usual = json.loads(essentials_json("m", ("a", "b"), gray, 1.0))
    assert (usual["format_version"], "bits" in usual["input"]) == (1, False)


@pytest.mark.parametrize("bits", [7, 17, "12", 12.0, True, None])
def test_bits_out_of_range_are_refused(gray: InputSpec, bits: object) -> None:
    """As any other field of a manifest."""
    with pytest.raises(BundleError, match="input specification is not valid"):
        InputSpec.from_json({**gray.to_json(), "bits": bits})
