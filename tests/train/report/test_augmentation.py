from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.in_process import run_in_process
from helpers.support import write_image_tree
from torchstone_runtime.data.folder import FileStore, load_folder
from torchstone_runtime.data.split import Split
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_train.data.augmented_batches import AugmentedBatches
from torchstone_train.data.augmented_samples import EPOCHS, SAMPLES, augmented_samples
from torchstone_train.data.batches import ResidentBatches
from torchstone_train.data.pictures import FilePictures
from torchstone_train.data.transforms import PictureTransforms
from torchstone_train.recipes.catalog import CNN3, STONE_S
from torchstone_train.recipes.transforms import parse_transforms
from torchstone_train.report.augmentation_section import augmentation_section

CPU = torch.device("cpu")
SPEC = InputSpec(color="RGB", height=9, width=11, mean=(0.5,) * 3, std=(0.5,) * 3)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Sixteen pictures in two classes, one of a name that HTML would read."""
    root = write_image_tree(tmp_path_factory.mktemp("pictures"), {"a<b>": 8, "c": 8}, side=30, mode="RGB")
    return load_folder(root, "train", SPEC)


class Images(HTMLParser):
    """Collects the alternative texts of a page's images."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an image's text."""
        if tag == "img":
            self.texts.append(dict(attrs)["alt"] or "")


def test_samples_are_the_images_of_the_epochs(split: Split) -> None:
    """As a training step sees them, beside the pixels that inference has."""
    assert isinstance(split.store, FileStore)
    recipe = replace(CNN3, transforms="random-resized-crop,flip,trivial-augment")
    transforms = PictureTransforms(parse_transforms(recipe.transforms), SPEC)
    pictures = FilePictures(split.store, 22)
    batches = AugmentedBatches(pictures, split.labels, transforms, SPEC, seed=4, device=CPU, workers=2)
    found = augmented_samples(batches, split, recipe, 4)
    assert [sample.name for sample in found.samples] == ["a<b>", "c"] * 3
    for sample in found.samples:
        index = list(split.ids).index(sample.identifier)
        assert np.array_equal(sample.original, split.store.read(np.array([index]))[0])
        for epoch in range(1, EPOCHS + 1):
            assert np.array_equal(sample.changed[epoch - 1], batches.augmented(index, epoch).numpy())


def test_changes_of_whole_batches_are_shown_too_and_draw_from_nobody(split: Split) -> None:
    """The global generator is as it was: a run that is shown is the run that isn't."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    found = augmented_samples(ResidentBatches(split, CPU), split, replace(STONE_S, augment="flip-shift-erase"), 0)
    assert found.words == "flip-shift-erase"
    assert any(not np.array_equal(sample.original, sample.changed[0]) for sample in found.samples)
    assert torch.equal(torch.get_rng_state(), before)


def test_page_shows_each_image_with_its_changes(split: Split) -> None:
    """A row for each; names are escaped."""
    found = augmented_samples(ResidentBatches(split, CPU), split, replace(CNN3, augment="flip"), 0)
    page = augmentation_section(found.samples, found.words)
    texts = Images(page).texts
    assert len(texts) == SAMPLES * (1 + EPOCHS)
    assert texts[:2] == ["a<b>, as it is", "a<b>, in epoch 1"]
    assert "a<b>" not in page


@pytest.mark.parametrize("augments", [False, True])
def test_run_has_the_picture_where_it_augments(
    tiny_npz: Path, tiny_run: Path, tmp_path: Path, *, augments: bool
) -> None:
    """As files and in the page; else there is nothing to show."""
    run = tiny_run
    if augments:
        run = tmp_path / "run"
        options = ("--data", f"npz:{tiny_npz}", "--epochs", "1", "--augment", "flip,rotate", "--out", run)
        result = run_in_process("train", "mlp", *options, pictures=True)
        assert result.returncode == 0, result.stderr
    drawn = {file.name for file in (run / "figures").glob("augmentation.*")}
    assert drawn == ({"augmentation.png", "augmentation.svg"} if augments else set())
    assert ("<h2>Augmentation</h2>" in (run / "report.html").read_text()) == augments
