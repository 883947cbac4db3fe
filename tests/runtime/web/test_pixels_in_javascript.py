"""A page in the browser gives a model the pixels that `decode_image` gives it, bit for bit."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from helpers.node import NEEDS_NODE, JavaScriptError, Node, as_picture, from_picture
from helpers.png_maker import KINDS, make_png
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.errors import ImageError
from torchstone_runtime.images.decode import decode_image, decode_original
from torchstone_runtime.images.input_spec import ColorMode, Fit, InputSpec, ResampleFilter
from torchstone_runtime.web.assets import STATIC

pytestmark = NEEDS_NODE

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine makes the way to Node.js slow."""
SIDE = st.one_of(st.integers(1, 12), st.integers(1, 300))
MODEL_SIDE = st.one_of(st.integers(1, 12), st.integers(1, 120))
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The modules of the page, in Node.js."""
    with Node(STATIC, tmp_path_factory.mktemp("modules")) as running:
        yield running


def pixels_of(height: int, width: int, color: str, seed: int) -> Uint8Array:
    """Return random pixels, uint8 [h, w] or [h, w, 3], every other time with nothing but black and white."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width) if color == "L" else (height, width, 3), dtype=np.uint8)
    return pixels if seed % 2 else np.where(pixels < 128, 0, 255).astype(np.uint8)


@st.composite
def specs(draw: st.DrawFn) -> InputSpec:
    """Return any input specification of a small model."""
    color: ColorMode = draw(st.sampled_from(get_args(ColorMode)))
    fit: Fit = draw(st.sampled_from(get_args(Fit)))
    resample: ResampleFilter = draw(st.sampled_from(get_args(ResampleFilter)))
    values = (0.5,) * (1 if color == "L" else 3)
    return InputSpec(
        color=color,
        height=draw(MODEL_SIDE),
        width=draw(MODEL_SIDE),
        resample=resample,
        fit=fit,
        resize=draw(MODEL_SIDE) if fit == "crop" else None,
        fill=draw(st.integers(0, 255)) if fit == "pad" else 0,
        antialias=resample == "lanczos" or draw(st.booleans()),
        mean=values,
        std=values,
    )


@settings(SLOW, max_examples=200)
@given(st.tuples(SIDE, SIDE), st.tuples(SIDE, SIDE), st.sampled_from(["L", "RGB"]), st.integers(0, 2**32))
def test_each_filter_is_pillows(
    node: Node, size: tuple[int, int], target: tuple[int, int], color: str, seed: int
) -> None:
    """Every filter gives Pillow's pixels, growing and shrinking, in whichever order Pillow takes the sides."""
    pixels = pixels_of(*size, color, seed)
    for name, resampling in FILTERS.items():
        found = from_picture(node.call("resample.js", "resize", as_picture(pixels), target[1], target[0], name))
        expected = np.asarray(Image.fromarray(pixels).resize((target[1], target[0]), resampling))
        assert np.array_equal(found.reshape(expected.shape), expected), name


@settings(SLOW, max_examples=300)
@given(specs(), SIDE, SIDE, st.sampled_from(["L", "RGB"]), st.integers(0, 2**32))
def test_a_decoded_picture_becomes_the_same_input(
    node: Node, spec: InputSpec, height: int, width: int, color: str, seed: int
) -> None:
    """Colour, geometry, filter and border are those of `decode_image`, for gray pictures and pictures in colour."""
    pixels = pixels_of(height, width, color, seed)
    found = node.call("geometry.js", "modelInput", as_picture(pixels), spec.to_json())
    assert found == decode_image(Image.fromarray(pixels), spec).tobytes()


@settings(SLOW, max_examples=300)
@given(
    st.sampled_from(KINDS),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.integers(0, 2**32),
    st.booleans(),
    st.integers(1, 8),
)
def test_png_files_are_decoded_as_pillow_does(
    node: Node, kind: tuple[int, int], size: tuple[int, int], seed: int, interlaced: bool, orientation: int
) -> None:
    """Every colour type and depth, interlaced or not, turned or not; alpha is dropped, 16 bits become 8."""
    content = make_png(kind, size, seed, interlaced=interlaced, orientation=orientation)
    decoded = node.call("png.js", "decodePng", content, 16, 10**6)
    picture = node.call("picture.js", "upright", decoded, decoded["orientation"])
    for color in ("L", "RGB"):
        found = from_picture(node.call("geometry.js", "convert", picture, color))
        assert np.array_equal(np.moveaxis(found, -1, 0), decode_original(content, color)), (color, kind)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_gray_pictures_may_use_fewer_bits(node: Node, bits: int) -> None:
    """The values of a 16-bit picture are scaled from as many bits as the model's images have."""
    values = np.random.default_rng(bits).integers(0, 2**bits, (30, 40)).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, format="PNG")
    decoded = node.call("png.js", "decodePng", buffer.getvalue(), bits, 10**6)
    expected = decode_original(buffer.getvalue(), "L", bits=bits)
    assert np.array_equal(from_picture(decoded)[..., 0], expected[0])


@pytest.mark.parametrize("kind", [(0, 16), (2, 16), (4, 16)])
def test_what_has_more_bits_than_stated_is_refused(node: Node, kind: tuple[int, int]) -> None:
    """Where Python refuses a picture, so does the page."""
    content = make_png(kind, (9, 9), seed=1)
    with pytest.raises(ImageError):
        decode_original(content, "L", bits=10)
    with pytest.raises(JavaScriptError, match="10 bits"):
        node.call("png.js", "decodePng", content, 10, 10**6)


@settings(SLOW, max_examples=100)
@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.data())
def test_damaged_png_files_are_refused_or_read(
    node: Node, kind: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    """Damage ends in a picture or in one sentence for people, and never in a fault of the page's own."""
    content = bytearray(make_png(kind, (7, 5), seed))
    for _ in range(3):
        content[data.draw(st.integers(8, len(content) - 1))] = data.draw(st.integers(0, 255))
    said = "The picture "
    try:
        node.call("png.js", "decodePng", bytes(content[: data.draw(st.integers(8, len(content)))]), 16, 10**6)
    except JavaScriptError as error:
        said = str(error)
    assert said.startswith(("The picture ", "A 16-bit picture "))


def test_a_picture_that_is_too_narrow_is_refused(node: Node) -> None:
    """What Python refuses for the memory that it would take, the page refuses too."""
    spec = InputSpec(color="L", height=8, width=8, fit="crop", resize=2000, mean=(0.5,), std=(0.5,))
    pixels = np.zeros((1, 60_000), np.uint8)
    with pytest.raises(JavaScriptError, match="too long and narrow"):
        node.call("geometry.js", "modelInput", as_picture(pixels), spec.to_json())


def test_the_colours_of_a_jpeg_file_are_counted(node: Node, tmp_path: Path) -> None:
    """Four of them are CMYK, which browsers convert otherwise than Pillow."""
    for mode, count in {"L": 1, "RGB": 3, "CMYK": 4}.items():
        Image.new(mode, (20, 10)).save(tmp_path / "x.jpg")
        assert node.call("picture.js", "jpegComponents", (tmp_path / "x.jpg").read_bytes()) == count
