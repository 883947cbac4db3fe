from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from helpers.in_process import run_in_process
from torchstone_runtime.arrays import Uint8Array
from torchstone_runtime.bundle.builtin import locate_bundle
from torchstone_runtime.data.mnist_family import FASHION_MNIST, MNIST, MnistLayout, load_mnist_part
from torchstone_runtime.images.background import BackgroundRange, border_levels
from torchstone_runtime.images.encode import encode_png


def framed(edge: int, centre: int, *, shape: tuple[int, int, int] = (1, 6, 4)) -> Uint8Array:
    """An image with its outermost pixels of one level and all others of another."""
    image = np.full(shape, edge, np.uint8)
    image[:, 1:-1, 1:-1] = centre
    return image


def test_the_level_is_that_of_the_outermost_pixels() -> None:
    """Whatever is inside, in every channel; an image of one pixel has edges too."""
    images = np.stack([framed(200, 0), framed(10, 255)])
    assert border_levels(images).tolist() == [200, 10]
    assert border_levels(np.full((2, 3, 1, 1), 7, np.uint8)).tolist() == [7, 7]


@pytest.mark.parametrize(
    ("known", "tone", "foreign"),
    [
        ((0, 40), "dark", range(169, 256)),
        ((200, 255), "bright", range(72)),
        ((0, 255), None, range(0)),
        ((100, 140), None, range(0)),
    ],
)
def test_foreign_is_more_than_half_of_the_range_away(known: tuple[int, int], tone: str | None, foreign: range) -> None:
    """To a model whose images have edges of both kinds nothing is."""
    edges = BackgroundRange.of(np.stack([framed(level, 128) for level in known]))
    assert edges.tone == tone
    assert [level for level in range(256) if edges.differs(level)] == list(foreign)


@pytest.mark.data
@pytest.mark.parametrize("layout", [FASHION_MNIST, MNIST], ids=lambda layout: layout.name)
@pytest.mark.parametrize("part", ["train", "test"])
def test_inverted_images_are_told_from_the_others(data_dir: Path, layout: MnistLayout, part: str) -> None:
    """The figures of docs/reference/cli.md: with 16 images known, 200 draws, none is foreign; inverted 99.99% are."""
    split = load_mnist_part(layout, data_dir, part)
    images = split.store.read(np.arange(len(split)))
    levels, inverted = border_levels(images), border_levels(np.invert(images))
    generator = np.random.default_rng(0)
    found = []
    for _ in range(200):
        drawn = levels[generator.choice(len(levels), 16, replace=False)]
        known = BackgroundRange(float(drawn.min()), float(drawn.max()))
        assert not known.differs(float(levels.max()))
        assert not known.differs(float(levels.min()))
        found.append(np.mean(inverted > known.high + 128))

    assert np.mean(found) >= 0.9999


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A boot on black as Fashion-MNIST has it, and the same as a large coloured JPEG on white."""
    run_in_process("inspect", "fashion", "--golden-images", tmp_path / "golden")
    boot = Image.open(tmp_path / "golden" / "golden-00.png")
    folder = tmp_path / "photos"
    folder.mkdir()
    boot.save(folder / "black.png")
    ImageOps.invert(boot).resize((400, 500), Image.Resampling.BICUBIC).convert("RGB").save(folder / "white.jpg")
    return folder


def test_a_photo_on_white_is_warned_of(photos: Path) -> None:
    """It is answered all the same, on stdout and with exit code 0; nothing inverts it unasked."""
    result = run_in_process("predict", "fashion", photos)
    assert result.returncode == 0
    assert [line.partition("\t")[2].startswith("Ankle boot") for line in result.stdout.splitlines()] == [True, False]
    assert result.stderr.count("Warning") == 1
    assert "1 of 2" in result.stderr
    assert "white.jpg" in result.stderr
    assert "--invert" in result.stderr


def test_invert_gives_the_model_what_it_knows(photos: Path) -> None:
    """The photo on white then is a boot, without a word on stderr; one on black is the one that is warned of."""
    white = run_in_process("predict", "fashion", photos / "white.jpg", "--invert")
    assert "\tAnkle boot" in white.stdout
    assert white.stderr == ""
    black = run_in_process("predict", "fashion", photos / "black.png", "--invert")
    assert "Leave --invert out" in black.stderr


def test_a_lone_file_knows_no_images(photos: Path) -> None:
    """So there is nothing to compare with, and no warning."""
    result = run_in_process("predict", locate_bundle("fashion") / "model.onnx", photos / "white.jpg")
    assert (result.returncode, result.stderr) == (0, "")


def test_where_the_golden_samples_are_not_read_there_is_no_warning(photos: Path) -> None:
    """`--check none` reads as little as it can."""
    result = run_in_process("predict", "fashion", photos / "white.jpg", "--check", "none")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_picture_of_any_size_and_mode_is_stretched(tmp_path: Path) -> None:
    """Wide, high, with a palette or transparent: one answer each."""
    for name, mode, size in (("wide", "RGB", (300, 20)), ("high", "P", (5, 90)), ("clear", "RGBA", (64, 64))):
        Image.new(mode, size).save(tmp_path / f"{name}.png")
    (tmp_path / "gray.png").write_bytes(encode_png(framed(0, 200, shape=(1, 28, 28))))
    result = run_in_process("predict", "fashion", tmp_path)
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 4
