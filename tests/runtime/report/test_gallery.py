import re
from pathlib import Path

import numpy as np
import pytest

from helpers.support import write_image_tree
from torchstone_runtime.arrays import Int64Array, Uint8Array
from torchstone_runtime.data.folder import load_folder
from torchstone_runtime.data.split import ArrayStore, Split
from torchstone_runtime.evaluation.examples import confused_pairs, evenly_by_class
from torchstone_runtime.evaluation.labelled_predictions import LabelledPredictions
from torchstone_runtime.images.input_spec import InputSpec
from torchstone_runtime.report.gallery import confused_html, gallery_html
from torchstone_runtime.report.sections import decision_sections


def decide(split: Split, predicted: list[int], confidence: list[float]) -> LabelledPredictions:
    """Return decisions on the images of a split."""
    decided = np.array(predicted, dtype=np.int64)
    return LabelledPredictions.of(split, decided, np.array(confidence, dtype=np.float32))


def seen(predicted: list[int], confidence: list[float]) -> LabelledPredictions:
    """Return decisions on images of which the i-th is truly of class i modulo 2."""
    labels = np.arange(len(predicted), dtype=np.int64) % 2
    images = ArrayStore(np.zeros((len(labels), 1, 4, 4), dtype=np.uint8))
    return decide(Split("test", images, labels, ("a", "b"), list(map(str, labels))), predicted, confidence)


def test_right_and_wrong_images_are_framed_as_such() -> None:
    """An image that was taken for its class is framed green, another red."""
    shown = gallery_html(seen([0, 0, 1], [0.9, 0.8, 0.7]), [0, 1, 2])
    assert re.findall(r'<figure class="(\w+)"', shown) == ["right", "wrong", "wrong"]


def test_a_tile_names_predicted_class_true_class_and_probability() -> None:
    """In words below the picture, and in its alternative text."""
    shown = gallery_html(seen([0, 0], [0.9, 0.8]), [1])
    assert re.sub("<[^>]+>", " ", shown).split() == ["&#10007;", "a", "truly", "b", "80.0%", "sample", "1"]
    assert 'alt="sample 1: b, predicted a (80.0%)"' in shown


def test_mistakes_are_the_wrong_ones_the_most_confident_first() -> None:
    """Right samples are no mistakes, however sure; ties stay in the split's order."""
    assert seen([1, 1, 1, 0, 0], [0.6, 0.99, 0.9, 0.9, 0.95]).wrong().tolist() == [2, 3, 0]


def test_samples_are_spread_over_the_classes() -> None:
    """The first of each class, then the second of each; a class with fewer runs out."""
    labels = np.array([2, 0, 0, 0, 1, 2], dtype=np.int64)
    assert evenly_by_class(labels, 5).tolist() == [1, 4, 0, 2, 5]


def test_confused_pairs_come_with_their_surest_samples() -> None:
    """The most frequent pair first, with count, support and images of just that confusion."""
    first, second = confused_pairs(seen([1, 0, 1, 1, 0], [0.6, 0.7, 0.9, 0.8, 0.5]))
    assert (first.true, first.predicted, first.count, first.support) == ("a", "b", 2, 3)
    assert (first.indices.tolist(), second.indices.tolist()) == ([2, 0], [1])
    assert confused_html(seen([0, 1], [0.9, 0.9])) == ""


class Counting:
    """Images that count how many of them are read."""

    def __init__(self, count: int) -> None:
        self._images = ArrayStore(np.zeros((count, 3, 40, 40), dtype=np.uint8))
        self.image_shape = self._images.image_shape
        self.read_so_far = 0

    def __len__(self) -> int:
        return len(self._images)

    def read(self, indices: Int64Array) -> Uint8Array:
        """Read and count."""
        self.read_so_far += len(indices)
        return self._images.read(indices)

    def select(self, indices: Int64Array) -> ArrayStore:
        """Select."""
        return self._images.select(indices)


def test_only_the_images_that_are_shown_are_read() -> None:
    """Of 10,000 images a report holds a hundred at most, which bounds its memory and its size."""
    labels, store = np.arange(10_000, dtype=np.int64) % 2, Counting(10_000)
    split = Split("x", store, labels, ("a", "b"), list(map(str, labels)))
    page = decision_sections(decide(split, [1] * 10_000, [0.9] * 10_000))
    assert 0 < store.read_so_far == page.count("<figure") < 100


@pytest.mark.parametrize("side", [20, 500])
def test_pictures_of_a_folder_are_read_again(side: int, tmp_path: Path) -> None:
    """A folder's pictures lie in files: those that are shown are decoded for the report, large ones made small."""
    write_image_tree(tmp_path, {"a": 2, "b": 2}, side=side, mode="RGB")
    spec = InputSpec(color="RGB", height=side, width=side, mean=(0.5,) * 3, std=(0.5,) * 3)
    split = load_folder(tmp_path, "test", spec)
    page = decision_sections(decide(split, [0, 1, 1, 1], [0.9, 0.8, 0.7, 0.6]))
    assert page.count("<img") == 4 + 1 + 1
    assert all(sample in page for sample in split.ids)
    assert len(page) < 600_000
