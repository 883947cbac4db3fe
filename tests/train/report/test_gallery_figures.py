import io
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_train.report.drawing import STYLE, encode
from torchstone_train.report.figures import draw_for_log, save_figures
from torchstone_train.report.gallery_figures import gallery_figure, mistakes_figure
from torchstone_train.training.validate import ValidationPass

GREEN, RED = (26, 127, 75), (196, 43, 28)


def noise(count: int, shape: tuple[int, int, int], *, wrong: bool) -> ValidationPass:
    """Return decisions on images of noise in two classes: all wrong, or all right."""
    generator = np.random.default_rng(3)
    labels = np.arange(count, dtype=np.int64) % 2
    images = ArrayStore(generator.integers(0, 256, (count, *shape), dtype=np.uint8))
    split = Split("validation", images, labels, ("cat", "dog"), [str(index) for index in range(count)])
    decided = 1 - labels if wrong else labels
    found = (split.ids, split.class_names, labels, decided, np.full(count, 0.75, dtype=np.float32))
    return ValidationPass(*found, split=split, loss=0.5)


def texts(figure: Figure) -> list[str]:
    """Return what is written on a figure, but for its title."""
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def colors(figure: Figure) -> set[tuple[int, ...]]:
    """Return the colours of a figure's PNG."""
    with mpl.rc_context(STYLE), Image.open(io.BytesIO(encode(figure)["png"])) as image:
        found = image.convert("RGB").getcolors(1 << 24)
    assert found is not None
    return {color for _, color in found if isinstance(color, tuple)}


def test_right_ones_are_framed_green_and_wrong_ones_red() -> None:
    """The very pixels of the file have the colour of the verdict, and not the other one."""
    right, wrong = (colors(gallery_figure(noise(4, (1, 1, 1), wrong=wrong), "t")) for wrong in (False, True))
    assert (GREEN in right, RED in right) == (True, False)
    assert (GREEN in wrong, RED in wrong) == (False, True)


@pytest.mark.parametrize(("wrong", "line", "sign"), [(False, "-", "✓"), (True, (0, (3, 1.4)), "✗")])
def test_verdict_is_seen_without_colours(wrong: bool, line: object, sign: str) -> None:
    """Frames differ in their line, captions in their sign."""
    figure = gallery_figure(noise(2, (1, 4, 4), wrong=wrong), "t")
    assert {patch.get_linestyle() == line for patch in figure.axes[0].patches} == {True}
    assert texts(figure)[0].startswith(sign)


def test_caption_names_predicted_class_true_class_and_probability() -> None:
    """In this order below each image."""
    assert texts(mistakes_figure(noise(1, (1, 4, 4), wrong=True), "t")) == ["✗ dog", "truly cat", "75.0%"]


def test_figure_without_mistakes_says_so() -> None:
    """It is drawn anew nevertheless: a resumed run keeps no picture of what it does no more."""
    assert texts(mistakes_figure(noise(2, (1, 4, 4), wrong=False), "t")) == ["No image was taken for another class."]


@pytest.mark.parametrize("shape", [(3, 224, 224), (1, 20, 60), (3, 64, 64)])
def test_files_stay_small_whatever_the_images(shape: tuple[int, int, int], tmp_path: Path) -> None:
    """Colour noise, which no compression helps against, of any size and proportions, stays below 1 MB a file."""
    shown = noise(80, shape, wrong=True)
    save_figures(tmp_path / "figures", [], shown, "noise")
    assert max(file.stat().st_size for file in (tmp_path / "figures").iterdir()) < 1_000_000
    assert max(map(len, draw_for_log(shown, "noise").values())) < 1_000_000


def test_image_keeps_its_proportions() -> None:
    """An image of 20 x 60 fills a third of its frame's height."""
    figure = gallery_figure(noise(1, (1, 20, 60), wrong=False), "t")
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert (right - left, bottom - top) == pytest.approx((1, 1 / 3))
